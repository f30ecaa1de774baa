import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

/** How much longer than a piece of work took the event loop is left to others after it, and at least a millisecond. */
const REST = 1;
/** Work that is shorter has no rest of its own: one piece of the file takes about as long. */
const MIN_WORK_MS = 0.1;

/**
 * Gives out the pieces of a long work so that requests which come meanwhile keep their speed: after each piece, the event loop is left
 * free for as long as it took, which timers make a millisecond and more. `isHurried`: somebody waits for the end of it, so that others
 * have one turn only.
 */
export async function* paced<T>(pieces: Iterable<T>, isHurried: () => boolean): AsyncGenerator<T> {
  let work = 0;
  let began = performance.now();
  for (const piece of pieces) {
    work += performance.now() - began;
    yield piece;
    if (work >= MIN_WORK_MS) {
      if (isHurried()) await nextTurn();
      else await sleep(Math.ceil(work * REST));
      work = 0;
    }
    began = performance.now();
  }
}
