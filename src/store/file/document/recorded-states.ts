import type { Entry } from '../../../protocol/registry/entry.ts';

/** The data of an entry in `_registry`. */
export interface RecordedState {
  readonly revision: number;
  readonly ttlMs: number | undefined;
}

/** Joins entries with their data in `_registry`. */
export interface RecordedStates {
  /** Whether all states have come in the order of the entries, as the broker writes them. */
  readonly inOrder: boolean;
  /** The number of states so far. */
  readonly taken: number;
  take(name: string, state: RecordedState): void;
  /** All states so far. */
  all(): ReadonlyMap<string, RecordedState>;
  /**
   * Gives entries the states that did not come in order. Returns whether states and entries have the same
   * names.
   */
  settle(): boolean;
}

/** @param earlier the states that have come before their entries. */
export function createRecordedStates(
  entries: ReadonlyMap<string, Entry>,
  earlier: ReadonlyMap<string, RecordedState> = new Map(),
): RecordedStates {
  const next = entries.values();
  const others = new Map(earlier);
  let inOrder = others.size === 0;
  let taken = 0;
  return {
    get inOrder(): boolean {
      return inOrder;
    },
    get taken(): number {
      return taken;
    },
    take(name, state) {
      const entry = inOrder ? next.next().value : undefined;
      if (entry?.name === name) {
        setState(entry, state);
        taken++;
        return;
      }
      inOrder = false;
      others.set(name, state);
    },
    all() {
      const inTurn = [...entries.values()].slice(0, taken);
      return new Map([
        ...inTurn.map(({ name, revision, ttlMs }) => [name, { revision, ttlMs }] as const),
        ...others,
      ]);
    },
    settle() {
      let isKnown = true;
      for (const [name, state] of others) {
        const entry = entries.get(name);
        if (entry === undefined) isKnown = false;
        else setState(entry, state);
      }
      return isKnown && taken + others.size === entries.size;
    },
  };
}

/** Only for entries that no reader has yet: later they are never changed in place. */
export function setState(entry: Entry, { revision, ttlMs }: RecordedState): void {
  const state = entry as { revision: number; ttlMs?: number };
  state.revision = revision;
  if (ttlMs !== undefined) state.ttlMs = ttlMs;
}
