/**
 * The most connections that wait to be accepted: those of a fleet that boots at once arrive faster than
 * handshakes are made. The system may allow fewer (Linux: net.core.somaxconn).
 */
export const BACKLOG = 4096;

/**
 * The cipher suites that a server takes on Node, for certificates of ECDSA and of RSA. All are AEAD with
 * forward secrecy. Without its names in the list Node would refuse TLS 1.3.
 */
export const AEAD_CIPHERS: string = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  ...['ECDSA', 'RSA'].flatMap((key) =>
    ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'].map((rest) => `ECDHE-${key}-${rest}`),
  ),
].join(':');

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
