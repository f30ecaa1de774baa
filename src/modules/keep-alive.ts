/**
 * What `source` gives, and nothing (`undefined`) whenever it has been silent for `ms`, so that a stream can show that it is
 * still alive. Ends and fails with `source`, and ends it when its reader goes.
 */
export async function* withKeepAlive<T>(source: AsyncIterable<T>, ms: number): AsyncGenerator<T | undefined> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    let next = iterator.next();
    for (;;) {
      const item = await within(ms, next);
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

/** What `promise` gives, or nothing when it takes longer than `ms`. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
