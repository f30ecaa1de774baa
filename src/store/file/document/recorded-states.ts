import type { Entry } from '../../../protocol/registry/entry.ts';

/** What `_registry` holds of an entry. */
export interface RecordedState {
  readonly revision: number;
  readonly ttlMs: number | undefined;
}

/** Brings entries together with what `_registry` holds of them. */
export interface RecordedStates {
  /** Every state has come in the order of the entries, as the broker writes them. */
  readonly inOrder: boolean;
  /** How many have. */
  readonly taken: number;
  take(name: string, state: RecordedState): void;
  /** All that have come. */
  all(): ReadonlyMap<string, RecordedState>;
  /** Gives entries the states that did not come in order. Tells whether names and entries are the same ones. */
  settle(): boolean;
}

/** `earlier`: states that have come before their entries. */
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

/** For entries that nobody has seen yet: they are never changed in place after that. */
export function setState(entry: Entry, { revision, ttlMs }: RecordedState): void {
  const state = entry as { revision: number; ttlMs?: number };
  state.revision = revision;
  if (ttlMs !== undefined) state.ttlMs = ttlMs;
}
