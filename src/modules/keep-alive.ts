import { resolveWithin } from '../protocol/timeout.ts';

/**
 * Yields the values of `source`, and `undefined` whenever it has been silent for `ms` milliseconds, so that a
 * stream can show that it is still alive. It ends and fails with `source`, and ends `source` when its reader
 * goes.
 */
export async function* withKeepAlive<T>(source: AsyncIterable<T>, ms: number): AsyncGenerator<T | undefined> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    let next = iterator.next();
    for (;;) {
      const item = await resolveWithin(ms, next);
      if (item === undefined) {
        yield undefined;
        continue;
      }
      if (item.done) return;
      yield item.value;
      next = iterator.next();
    }
  } finally {
    await iterator.return?.();
  }
}
