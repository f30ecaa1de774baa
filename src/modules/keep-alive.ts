/**
 * Yields the values of `source`, and `undefined` whenever it has been silent for `ms` milliseconds, so that a
 * stream can show that it is still alive. It ends and fails with `source`, and ends `source` when its reader
 * goes.
 */
export async function* withKeepAlive<T>(source: AsyncIterable<T>, ms: number): AsyncGenerator<T | undefined> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    let arrival = arrivalOf(iterator.next());
    for (;;) {
      const item = await arrival.within(ms);
      if (item === undefined) {
        yield undefined;
        continue;
      }
      if (item.done) return;
      yield item.value;
      arrival = arrivalOf(iterator.next());
    }
  } finally {
    await iterator.return?.();
  }
}

/** A promise that one caller may wait for any number of times. */
interface Arrival<T> {
  /**
   * The promise's value; undefined when it takes longer than `ms` milliseconds.
   * @throws what the promise rejects with.
   */
  within(ms: number): Promise<T | undefined>;
}

/** A race in each wait would leave a reaction with the promise: a quiet watch would grow with each heartbeat. */
function arrivalOf<T>(promise: Promise<T>): Arrival<T> {
  let outcome: (() => T) | undefined;
  let wake: (() => void) | undefined;
  const settle = (settled: () => T): void => {
    outcome = settled;
    wake?.();
  };
  promise.then(
    (value) => settle(() => value),
    (error: unknown) =>
      settle(() => {
        throw error;
      }),
  );
  return {
    async within(ms) {
      if (!outcome) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      return outcome?.();
    },
  };
}
