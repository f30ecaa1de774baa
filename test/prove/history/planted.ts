/** Histories in which something is wrong, made of good ones: the search that finds nothing must have been able to. */
import { type Call, violations } from './linearizable.ts';

type Done = Call & { readonly answer: { readonly is: 'done' } };
const isDone = (call: Call): call is Done => call.answer.is === 'done';
const revision = (call: Call): number => (isDone(call) ? call.answer.revision : 0);

/** Returns the calls with something wrong among them; nothing where the history has nothing to make it of. */
type Plant = (calls: readonly Call[]) => readonly Call[] | undefined;

const replaced = (
  calls: readonly Call[],
  one: Call | undefined,
  by: Partial<Call>,
): readonly Call[] | undefined => one && calls.map((call) => (call === one ? { ...call, ...by } : call));
const puts = (calls: readonly Call[]): Done[] =>
  calls.filter(isDone).filter(({ kind }) => kind !== 'get' && kind !== 'delete');
const end = (calls: readonly Call[]): number =>
  Math.max(...calls.map(({ began, ended }) => (ended === Infinity ? began : ended)));
const wasSeen = (calls: readonly Call[], one: Done): boolean =>
  calls.some(
    (call) => call !== one && isDone(call) && call.kind === 'get' && revision(call) === revision(one),
  );

const plants: Readonly<Record<string, Plant>> = {
  'an old state read at the end': (calls) => {
    const last = puts(calls).findLast((call) => call.name === calls[0]?.name);
    const first = puts(calls).find((call) => call.name === calls[0]?.name);
    if (!first || !last || revision(first) >= revision(last)) return undefined;
    const began = end(calls) + 1;
    return [...calls, { kind: 'get', name: first.name, began, ended: began + 1, answer: first.answer }];
  },
  'a state read before it was written': (calls) => {
    const one = puts(calls).find((call) => wasSeen(calls, call));
    const began = end(calls) + 1;
    return replaced(calls, one, { began, ended: began + 1 });
  },
  'a registration that wins though the name exists': (calls) =>
    replaced(
      calls,
      calls.find(({ kind, answer }) => kind === 'register' && answer.is === 'refused'),
      { answer: { is: 'done', revision: 1 + Math.max(...calls.map(revision)) } },
    ),
  'an update that loses what another merged in': (calls) => {
    const one = puts(calls).find(
      ({ kind, answer }) => kind === 'update' && Object.keys(answer.data?.by ?? {}).length > 1,
    );
    return one?.data && replaced(calls, one, { answer: { ...one.answer, data: one.data } });
  },
  'a condition that was not kept': (calls) => {
    const one = calls.filter(isDone).find(({ ifRevision = 0 }) => ifRevision > 0);
    return replaced(calls, one, { ifRevision: (one?.ifRevision ?? 0) - 1 });
  },
  'a condition refused though it holds': (calls) => {
    const one = calls.find(({ answer }) => answer.is === 'refused' && (answer.present ?? 0) > 0);
    const { answer } = one ?? {};
    return answer?.is === 'refused' && answer.present !== undefined
      ? replaced(calls, one, { ifRevision: answer.present })
      : undefined;
  },
  'a write called undone that was done': (calls) =>
    replaced(
      calls,
      puts(calls).find((call) => wasSeen(calls, call)),
      { answer: { is: 'undone' } },
    ),
  'a write refused that was done': (calls) =>
    replaced(
      calls,
      puts(calls).find((call) => call.kind === 'register' && wasSeen(calls, call)),
      { answer: { is: 'refused' } },
    ),
  'an acknowledged deletion that was not done': (calls) => {
    const one = puts(calls).findLast((call) => wasSeen(calls, call));
    const last = one && calls.findLast((call) => call.kind === 'get' && call.name === one.name);
    if (!last || !isDone(last)) return undefined;
    const deletion: Call = {
      kind: 'delete',
      name: last.name,
      began: last.began - 2,
      ended: last.began - 1,
      answer: { is: 'done', revision: revision(last) + 1 },
    };
    return [...calls, deletion];
  },
};

export interface Planting {
  /** Tries to plant each kind that has not been found yet in a history that has no violation. */
  tryIn(history: readonly Call[]): void;
  /** What was not found; with `all`, also what could be planted in none. */
  missed(all: boolean): string[];
  readonly found: number;
}

export function createPlanting(): Planting {
  const left = new Map(Object.entries(plants));
  const missed: string[] = [];
  let found = 0;
  return {
    tryIn(history) {
      for (const [what, plant] of left) {
        const planted = plant(history);
        if (!planted) continue;
        left.delete(what);
        if (violations(planted).length > 0) found++;
        else missed.push(`PLANTED, and not found: ${what}`);
      }
    },
    missed: (all) => [...missed, ...(all ? [...left.keys()].map((what) => `never planted: ${what}`) : [])],
    get found(): number {
      return found;
    },
  };
}
