/** Pause before the next address is tried while those before it have not answered (RFC 8305). */
const NEXT_MS = 250;

/**
 * Tries addresses one after the other, the next when one has failed or takes long, and gives the first that succeeds.
 * @param connect tries one; its signal is aborted when another has succeeded.
 * @param discard takes what comes too late.
 * @throws what the first of them failed with.
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

/** Until an attempt has come to its end, or for a moment. */
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
