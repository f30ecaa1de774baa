/**
 * Whether some order of concurrent calls explains their answers (Wing and Gong's search, name by name). In
 * that order, no call comes before one that had ended when it began, and changes have rising revisions. Each
 * answer is that of a single registry. A call without an answer may take effect at any time after its
 * beginning, or never.
 */
import { isDeepStrictEqual } from 'node:util';

/** An entry's data: the mark of the write that was the last, and of each writer what it has last merged in. */
export interface Data {
  readonly n: number;
  readonly by: Readonly<Record<string, number>>;
}

export interface Call {
  readonly kind: 'get' | 'register' | 'replace' | 'update' | 'delete';
  readonly name: string;
  /** What is stored, or merged in; no two writes have the same mark. */
  readonly data?: Data;
  /** The write is conditional on it; 0: on that there is no entry. */
  readonly ifRevision?: number;
  readonly began: number;
  /** Infinity while there is no answer. */
  readonly ended: number;
  readonly answer: Answer;
}

/**
 * - `done`: with the revision, and the entry's data where there is one.
 * - `absent`: nothing was found.
 * - `refused`: the name exists, or is at another revision. `present` is which one, if it is known; 0 for no
 *   entry.
 * - `undone`: it failed, with the promise that nothing was stored.
 * - `unknown`: no answer, or one that says that nobody knows.
 */
export type Answer =
  | { readonly is: 'done'; readonly revision: number; readonly data?: Data }
  | { readonly is: 'absent' }
  | { readonly is: 'refused'; readonly present?: number }
  | { readonly is: 'undone' }
  | { readonly is: 'unknown' };

/** The entry at one point of an order. */
interface State {
  /** Nothing: there is none. */
  readonly data: Data | undefined;
  /** Of the last change; nothing where no answer has told it. */
  readonly revision: number | undefined;
  /** The last change has this revision, or a higher one. */
  readonly least: number;
}

/** Steps of a search; a history that takes more counts as a violation that is not understood. */
const MAX_STEPS = 300_000;

/** What no order explains, a text for each name; empty where all is well. */
export function violations(history: readonly Call[]): string[] {
  const names = new Set(history.map(({ name }) => name));
  return [...names].flatMap((name) => explain(history.filter((call) => call.name === name)) ?? []);
}

function explain(all: readonly Call[]): string | undefined {
  const revisions = revisionsSeen(all);
  // What was promised to have changed nothing must be needed by no order; of a read that failed nothing is known.
  const calls = all.filter(
    ({ kind, answer }) => answer.is !== 'undone' && !(kind === 'get' && answer.is === 'unknown'),
  );
  const known = calls.map((call) => revisionOf(call, revisions));
  const tried = new Set<string>();
  const done = calls.map(() => false);
  let steps = 0;
  let furthest = { count: -1, state: '', stuck: '' };

  const isOpen = (i: number): boolean => done[i] === false;
  const indices = [...calls.keys()];

  /** The calls that may come next: those that began before every one that is left had ended. */
  function candidates(): number[] {
    const left = indices.filter(isOpen);
    const firstEnd = Math.min(...left.map((i) => calls[i]?.ended ?? Infinity));
    return left.filter((i) => (calls[i]?.began ?? 0) <= firstEnd);
  }

  function search(state: State): boolean {
    const taken: number[] = [];
    const undo = (): false => {
      for (const i of taken) done[i] = false;
      return false;
    };
    const next = (): number => Math.min(...indices.filter((i) => isOpen(i)).map((i) => known[i] ?? Infinity));
    // What changes nothing is taken as soon as it fits: that never keeps anything else from coming next.
    for (;;) {
      const fits = candidates().find((i) => readBy(calls[i] as Call, state, next()) === state);
      if (fits === undefined) break;
      done[fits] = true;
      taken.push(fits);
    }
    if (indices.every((i) => !isOpen(i) || calls[i]?.ended === Infinity)) return true;
    if (++steps > MAX_STEPS) return undo();
    const key = `${done.map(Number).join('')} ${JSON.stringify(state)}`;
    if (tried.has(key)) return undo();
    tried.add(key);
    note(state);
    const lowest = next();
    const open = candidates();
    const moves = [
      ...open.filter((i) => known[i] !== undefined && known[i] === lowest),
      ...open.filter((i) => known[i] === undefined),
    ];
    for (const i of moves) {
      const call = calls[i] as Call;
      // A refusal may tell the revision of a write that had no answer.
      const after = changes(call) ? changedBy(call, state, known[i], lowest) : readBy(call, state, lowest);
      if (after === undefined) continue;
      done[i] = true;
      if (search(after)) return true;
      done[i] = false;
    }
    return undo();
  }

  function note(state: State): void {
    const count = done.filter(Boolean).length;
    if (count <= furthest.count) return;
    const stuck = candidates()
      .filter((i) => calls[i]?.ended !== Infinity)
      .map((i) => JSON.stringify(calls[i]))
      .join('; ');
    furthest = { count, state: JSON.stringify(state), stuck };
  }

  if (search({ data: undefined, revision: 0, least: 0 })) return undefined;
  const why = steps > MAX_STEPS ? `no order was found in ${MAX_STEPS} steps` : 'no order explains it';
  const { count, state, stuck } = furthest;
  return `${all[0]?.name}: ${why}: after ${count} of ${calls.length} calls at ${state} none of these fits: ${stuck}`;
}

/** The revisions of writes, by their data's mark, as its readers received them. */
function revisionsSeen(calls: readonly Call[]): Map<unknown, number> {
  const seen = new Map<unknown, number>();
  for (const { answer } of calls)
    if (answer.is === 'done' && answer.data !== undefined) seen.set(answer.data.n, answer.revision);
  return seen;
}

/** The revision of a change; nothing for a call that changes nothing, or without an answer. */
function revisionOf({ kind, data, answer }: Call, seen: Map<unknown, number>): number | undefined {
  if (kind === 'get') return undefined;
  if (answer.is === 'done') return answer.revision;
  return answer.is === 'unknown' ? seen.get(data?.n) : undefined;
}

function changes({ kind, answer }: Call): boolean {
  return kind !== 'get' && (answer.is === 'done' || answer.is === 'unknown');
}

/** The state after a call that changes nothing; nothing where it does not fit, or is none. `next`: the revision of the next change. */
function readBy(call: Call, state: State, next: number): State | undefined {
  const { kind, answer, ifRevision } = call;
  if (changes(call)) return undefined;
  if (answer.is === 'absent') return state.data === undefined ? state : undefined;
  if (kind === 'get' && answer.is === 'done') {
    const isSame = state.data !== undefined && isDeepStrictEqual(state.data, answer.data);
    return isSame ? atRevision(state, answer.revision, next) : undefined;
  }
  if (answer.is !== 'refused') return undefined;
  if (kind === 'register') return state.data === undefined ? undefined : state;
  const { present } = answer;
  if (present === ifRevision) return undefined;
  if (present === 0) return state.data === undefined ? state : undefined;
  if (state.data === undefined) return present === undefined && ifRevision !== 0 ? state : undefined;
  if (present !== undefined) return atRevision(state, present, next);
  return state.revision === ifRevision ? undefined : state;
}

/** The state, if its revision matches; nothing otherwise. */
function atRevision(state: State, revision: number, next: number): State | undefined {
  if (state.revision !== undefined) return state.revision === revision ? state : undefined;
  return revision >= state.least && revision < next ? { ...state, revision, least: revision } : undefined;
}

/** The state after a write that is done, or may have been; nothing where it cannot have been. */
function changedBy(call: Call, state: State, revision: number | undefined, next: number): State | undefined {
  const { kind, answer, ifRevision } = call;
  const present = state.data === undefined ? 0 : state.revision;
  if (ifRevision !== undefined && ifRevision !== present) return undefined;
  if (kind === 'register' && state.data !== undefined) return undefined;
  if (kind === 'delete' && state.data === undefined) {
    // Answered with the registry's revision, which may be another name's.
    return answer.is === 'done' && answer.revision >= state.least
      ? { ...state, least: answer.revision }
      : undefined;
  }
  if (revision !== undefined && revision <= state.least) return undefined;
  if (revision === undefined && state.least + 1 >= next) return undefined;
  const data = dataAfter(call, state);
  if (answer.is === 'done' && answer.data !== undefined && !isDeepStrictEqual(answer.data, data))
    return undefined;
  return { data, revision, least: revision ?? state.least + 1 };
}

function dataAfter({ kind, data }: Call, state: State): Data | undefined {
  if (kind === 'delete' || data === undefined) return undefined;
  if (kind !== 'update' || state.data === undefined) return data;
  return { n: data.n, by: { ...state.data.by, ...data.by } };
}
