/**
 * The most connections that wait to be accepted: those of a fleet that boots at once arrive faster than
 * handshakes are made. The system may allow fewer (Linux: net.core.somaxconn).
 */
export const BACKLOG = 4096;

/** How long a server reports that it has refused a connection, in milliseconds. */
const TELL_MS = 60_000;

/** Remembers refused connections. */
export interface Refusals {
  note(): void;
  /** Whether one was refused within the last minute. */
  recent(): boolean;
}

export function createRefusals(): Refusals {
  let last = -Infinity;
  return {
    note() {
      last = performance.now();
    },
    recent: () => performance.now() - last < TELL_MS,
  };
}
