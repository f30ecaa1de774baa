/**
 * What `promise` gives, or `late` (default: nothing) when it takes longer than `ms` milliseconds: a disk, a name server or a cluster that
 * hangs gives no error. The promise itself goes on. Rejects as it does until then.
 */
export function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined>;
export function within<T>(ms: number, promise: Promise<T>, late: T): Promise<T>;
export async function within<T>(ms: number, promise: Promise<T>, late?: T): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<T | undefined>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, ms), late);
  });
  try {
    return await Promise.race([promise, over]);
  } finally {
    clearTimeout(timer);
  }
}
