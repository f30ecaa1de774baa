import type { Entry } from '../../protocol/registry/entry.ts';
import type { Mutation } from '../../store/store.ts';

/** What a call of `services` has done to one entry. */
export interface EntryChange {
  readonly name: string;
  /** The revision that the change has; of what changed nothing, that of the entry. */
  readonly revision?: number;
  /** Whether it raised the revision: a renewal and an equal registration do not, nor does a deletion of nothing. */
  readonly isChange: boolean;
}

/** A mutation that tells, once it has been run, whether the run that counts changes the entry: the last one does. */
export interface NotedMutation {
  readonly mutation: Mutation;
  readonly isChange: boolean;
}

export function noted(mutation: Mutation): NotedMutation {
  let isChange = false;
  return {
    mutation(current: Entry | undefined) {
      const outcome = mutation(current);
      isChange = outcome.action === 'put' || (outcome.action === 'delete' && current !== undefined);
      return outcome;
    },
    get isChange() {
      return isChange;
    },
  };
}

const known = new WeakMap<object, readonly EntryChange[]>();

/** Notes what was changed for an answer, or before an error that is one call's alone; gives that back. */
export function withChanges<T extends object>(outcome: T, changes: readonly EntryChange[]): T {
  known.set(outcome, changes);
  return outcome;
}

/** What {@link withChanges} has noted; nothing where there is nothing. */
export function changesOf(outcome: unknown): readonly EntryChange[] {
  return typeof outcome === 'object' && outcome !== null ? (known.get(outcome) ?? []) : [];
}
