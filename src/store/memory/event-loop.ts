/** Settles in another turn of the event loop, once what has arrived meanwhile has been dealt with. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    // Not every platform has it; a timer takes longer.
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}
