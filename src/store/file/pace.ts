import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

/** How much longer than a piece of work took the event loop is left to others after it. */
const REST = 1;
/** Work is done in pieces of at least this long: a shorter rest cannot be asked for. */
const MIN_WORK_MS = 1;

/**
 * Gives out the pieces of a long work so that writes which come meanwhile keep their speed: while `revision` moves on,
 * the event loop is left free for as long as each piece took.
 */
export async function* paced<T>(pieces: Iterable<T>, revision: () => number): AsyncGenerator<T> {
  let before = revision();
  let work = 0;
  let began = performance.now();
  for (const piece of pieces) {
    work += performance.now() - began;
    yield piece;
    if (work >= MIN_WORK_MS) {
      const now = revision();
      if (now === before) await nextTurn();
      else await sleep(Math.ceil(work * REST));
      before = now;
      work = 0;
    }
    began = performance.now();
  }
}
