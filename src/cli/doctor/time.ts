import type { Deadline } from '../../client/connection/retry.ts';

/** How long one step may take: so many milliseconds, and never longer than what is left of the whole. */
export function atMost(deadline: Deadline, ms: number): number {
  return Math.max(1, Math.min(ms, deadline.left()));
}

/** What `work` gives, or `late` where that is not there in time: a disk or a name server that hangs gives no error. */
export async function within<T>(ms: number, work: Promise<T>, late: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<T>((resolve) => {
    timer = setTimeout(resolve, ms, late);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}
