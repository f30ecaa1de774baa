const nothing = (): void => undefined;

/**
 * Runs `run` once for all who ask before it begins, one run at a time: whoever asks while one is under way is given the next.
 * So what it finds is never older than the question, and any number of questions cost one run at a time.
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
