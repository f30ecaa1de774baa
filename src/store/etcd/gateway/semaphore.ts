/** Bounds how much is under way at once; whoever comes above that waits in line. */
export function createSemaphore(count: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = count;
  const line: (() => void)[] = [];
  return async (work) => {
    if (free > 0) free--;
    else
      await new Promise<void>((resolve) => {
        line.push(resolve);
      });
    try {
      return await work();
    } finally {
      // Handed on to the next in line, if there is one.
      const next = line.shift();
      if (next) next();
      else free++;
    }
  };
}
