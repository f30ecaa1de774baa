/**
 * The most connections that wait to be accepted: those of a fleet that boots at once arrive faster than
 * handshakes are made. The system may allow fewer (Linux: net.core.somaxconn).
 */
export const BACKLOG = 4096;

/**
 * The cipher suites that a server takes with TLS 1.2, for certificates of ECDSA and of RSA, as OpenSSL names
 * them. All are AEAD with forward secrecy, as those of TLS 1.3 are. Deno takes no others by itself.
 */
export const AEAD_CIPHERS: string = ['ECDSA', 'RSA']
  .flatMap((key) =>
    ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'].map((rest) => `ECDHE-${key}-${rest}`),
  )
  .join(':');

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
