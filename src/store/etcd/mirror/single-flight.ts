const nothing = (): void => undefined;

/**
 * Runs `run` once for all callers that ask before it begins, one run at a time. A caller during a run gets
 * the result of the next one. So the result is never older than the call, and any number of callers cost one
 * run at a time.
 */
export function singleFlight<T>(run: () => Promise<T>): () => Promise<T> {
  let before: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | undefined;

  async function begin(): Promise<T> {
    await before;
    next = undefined;
    const round = run();
    before = round.then(nothing, nothing);
    return await round;
  }

  return () => (next ??= begin());
}
