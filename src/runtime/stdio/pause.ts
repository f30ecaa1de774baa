/** How long a pipe that is full or empty is left alone, in milliseconds. */
const PAUSE_MS = 5;

/** Waits without the event loop, for code that must not return before. */
export function pauseSync(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
}
