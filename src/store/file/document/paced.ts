import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

/** The rest after a piece of work, as a multiple of its time, and at least a millisecond. */
const REST = 1;
/** Shorter work has no rest of its own: one piece of the file takes about as long. */
const MIN_WORK_MS = 0.1;

/**
 * Yields the pieces of a long work so that other requests keep their speed. After each piece, the event loop
 * is free for as long as the piece took, which timers make a millisecond and more. With `isHurried`, a caller
 * waits for the end, and the others get only one turn.
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
