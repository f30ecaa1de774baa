/**
 * Waits for `promise` for at most `ms` milliseconds: a disk, a name server or a cluster that hangs reports no
 * error. The work behind the promise goes on.
 * @returns the promise's value, or `late` (default: undefined) when it takes longer.
 * @throws what the promise rejects with until then.
 */
export function resolveWithin<T>(ms: number, promise: Promise<T>): Promise<T | undefined>;
export function resolveWithin<T>(ms: number, promise: Promise<T>, late: T): Promise<T>;
export async function resolveWithin<T>(ms: number, promise: Promise<T>, late?: T): Promise<T | undefined> {
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
