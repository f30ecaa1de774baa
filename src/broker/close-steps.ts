/** Closes one part of a broker. */
export type CloseStep = () => Promise<unknown>;

/**
 * Runs the steps one after another, and those of an inner list together: they begin in their order. Each step
 * runs even if one before it failed.
 * @throws the error of the first step that failed.
 */
export async function closeInOrder(steps: readonly (CloseStep | readonly CloseStep[])[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    const together = typeof step === 'function' ? [step] : step;
    const ends = await Promise.allSettled(together.map(async (close) => close()));
    for (const end of ends) if (end.status === 'rejected') errors.push(end.reason);
  }
  if (errors.length > 0) throw errors[0];
}
