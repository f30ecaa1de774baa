/** Resolves in another turn of the event loop, after the events that have arrived meanwhile. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    // Not every platform has it; a timer takes longer.
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}
