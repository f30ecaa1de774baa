import type { Entry } from '../../protocol/registry/entry.ts';
import type { Mutation } from '../../store/store.ts';

/** The effect of a call of `services` on one entry. */
export interface EntryChange {
  readonly name: string;
  /** The revision of the change; without a change, that of the entry. */
  readonly revision?: number;
  /**
   * Whether it raised the revision. A renewal, a registration of an equal entry with an equal lifetime, and
   * a deletion of a missing entry do not.
   */
  readonly isChange: boolean;
}

/** A mutation that remembers whether its last run changes the entry. Only the last run counts. */
export interface TrackedMutation {
  readonly mutation: Mutation;
  readonly isChange: boolean;
}

export function trackChange(mutation: Mutation): TrackedMutation {
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

/** Attaches changes to an answer, or to an error of this call alone, and returns it. */
export function withChanges<T extends object>(outcome: T, changes: readonly EntryChange[]): T {
  known.set(outcome, changes);
  return outcome;
}

/** The changes that {@link withChanges} attached; empty without any. */
export function changesOf(outcome: unknown): readonly EntryChange[] {
  return typeof outcome === 'object' && outcome !== null ? (known.get(outcome) ?? []) : [];
}
