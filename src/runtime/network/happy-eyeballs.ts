/**
 * The pause before the next address is tried while the earlier ones have not answered, in milliseconds (RFC
 * 8305).
 */
const NEXT_MS = 250;

/**
 * Tries addresses in their order, the next one when one has failed or is slow, and returns the first success.
 * @param connect tries one; its signal is aborted when another one has succeeded.
 * @param discard gets successes that come too late.
 * @throws the error of the first address.
 */
export async function connectFirst<T>(
  addresses: readonly string[],
  connect: (address: string, ended: AbortSignal) => Promise<T>,
  discard: (late: T) => void,
): Promise<T> {
  const ended = new AbortController();
  const attempts: Promise<T>[] = [];
  let won: { readonly one: T } | undefined;
  const attempt = async (address: string): Promise<T> => {
    const one = await connect(address, ended.signal);
    if (won) discard(one);
    else won = { one };
    return one;
  };
  try {
    for (const address of addresses) {
      const made = attempt(address);
      attempts.push(made);
      await headStart(made);
      if (won) break;
    }
    await Promise.any(attempts);
    if (!won) throw new Error('an attempt that succeeds has won');
    return won.one;
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  } finally {
    ended.abort();
  }
}

/** Waits until an attempt has ended, or for a moment. */
function headStart(attempt: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, NEXT_MS);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    attempt.then(done, done);
  });
}
