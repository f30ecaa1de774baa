/** Limits how many works run at once; the others wait in their order. */
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
      // The place goes to the next one that waits, if there is one.
      const next = line.shift();
      if (next) next();
      else free++;
    }
  };
}
