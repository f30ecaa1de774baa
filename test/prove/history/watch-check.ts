/** Whether a reader of a watch received each change once and in order, except across a reset. */
import { isDeepStrictEqual } from 'node:util';

/** A change as it was made. `data`: nothing where the entry was removed. */
export interface Change {
  readonly name: string;
  readonly revision: number;
  readonly data?: unknown;
}

/** What a reader received. */
export interface Told {
  readonly type: 'put' | 'delete' | 'expire' | 'reset';
  readonly name?: string;
  readonly revision: number;
  readonly data?: unknown;
}

export interface Reading {
  /** It had to receive every change after this revision. */
  readonly after: number;
  readonly told: readonly Told[];
  /** Whether it had to receive changes of this name. */
  covers(name: string): boolean;
  /**
   * After a reset it receives each existing entry by its last change, and goes on from there; default false.
   */
  readonly listsAfterReset?: boolean;
}

/**
 * What is wrong with it; empty where nothing is.
 * @param changes all of them, in the order of their revisions.
 * @param isExcused whether a reset from a position to a revision has a reason.
 */
export function misread(
  { after, told, covers, listsAfterReset = false }: Reading,
  changes: readonly Change[],
  isExcused: (position: number, revision: number) => boolean,
): string[] {
  const wrong: string[] = [];
  const expected = changes.filter(({ name }) => covers(name));
  let position = after;
  let at = 0;
  const skipTo = (revision: number): void => {
    position = revision;
    while ((expected[at]?.revision ?? Infinity) <= revision) at++;
  };
  /**
   * After the entries that follow a reset: those of one state of the registry, which is not older than the
   * reset.
   */
  const skipListing = (next: number, revision: number): number => {
    const states = [
      revision,
      ...expected.map((change) => change.revision).filter((other) => other > revision),
    ];
    for (const state of states) {
      const entries = entriesAt(expected, state);
      const isListed = entries.every((entry, i) => isSame(told[next + i], entry));
      if (!isListed) continue;
      skipTo(state);
      return next + entries.length;
    }
    wrong.push(`A LISTING after the reset to ${revision} that is no state: ${JSON.stringify(told[next])}`);
    return next;
  };
  skipTo(after);
  for (let i = 0; i < told.length; i++) {
    const item = told[i] as Told;
    const { type, revision } = item;
    if (type === 'reset') {
      if (revision < position) wrong.push(`A RESET BACK to ${revision} from ${position}`);
      else if (!isExcused(position, revision))
        wrong.push(`A RESET WITHOUT A REASON from ${position} to ${revision}`);
      skipTo(Math.max(position, revision));
      // It may have been lost again before they were read.
      if (listsAfterReset && told[i + 1]?.type !== 'reset') i = skipListing(i + 1, position) - 1;
      continue;
    }
    if (revision <= position) {
      wrong.push(`DOUBLED OR LATE: ${JSON.stringify(item)} after ${position}`);
      continue;
    }
    while ((expected[at]?.revision ?? Infinity) < revision)
      wrong.push(`MISSED: ${JSON.stringify(expected[at++])} between ${position} and ${revision}`);
    const made = expected[at];
    if (!made || !isSame(item, made))
      wrong.push(`MADE UP: ${JSON.stringify(item)}, and not ${JSON.stringify(made)}`);
    skipTo(revision);
  }
  for (const left of expected.slice(at)) wrong.push(`MISSED: ${JSON.stringify(left)} at the end`);
  return wrong;
}

/** The last changes of the entries that exist at a revision, in their order. */
function entriesAt(changes: readonly Change[], revision: number): Change[] {
  const last = new Map<string, Change>();
  for (const change of changes) if (change.revision <= revision) last.set(change.name, change);
  return [...last.values()]
    .filter(({ data }) => data !== undefined)
    .toSorted((a, b) => a.revision - b.revision);
}

function isSame(item: Told | undefined, made: Change): boolean {
  return (
    item !== undefined &&
    item.revision === made.revision &&
    item.name === made.name &&
    (made.data !== undefined) === (item.type === 'put') &&
    isDeepStrictEqual(item.data, made.data)
  );
}
