import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { openUdp } from '../../../runtime/network/udp.ts';

/**
 * A broker's question to itself, which tests whether its UDP port receives and answers. It is no query of any
 * form but a random token, which is sent back unchanged. Only the process that made it knows it, so others
 * cannot have a datagram returned.
 */
export interface SelfQuery {
  /** Whether a datagram is a question that was just asked. */
  isOwn(datagram: Uint8Array): boolean;
  /** Asks several times. Rejects when no answer has come within `ms` milliseconds. */
  ask(host: string, port: number, ms: number): Promise<void>;
  /**
   * Ends all questions, present and future: a broker that has closed its ports does not answer, and must not
   * wait for an answer.
   */
  close(): void;
}

const TOKEN_BYTES = 16;
const TRIES = 3;

/** The error for a host that may exist, but does not answer in time. */
export function noAnswer(ms: number): Error {
  return Object.assign(new Error(`no answer within ${ms} ms`), { code: 'NO_ANSWER' });
}

export function createSelfQuery(): SelfQuery {
  const asked = new Set<string>();
  const waiting = new Set<() => void>();
  let closed = false;
  return {
    isOwn: (datagram) => datagram.length === TOKEN_BYTES && asked.has(textOf(datagram)),
    async ask(host, port, ms) {
      const token = randomBytes(TOKEN_BYTES);
      const answered = createSignal();
      const socket = await openUdp({
        family: isIPv6(host) ? 6 : 4,
        address: isIPv6(host) ? '::' : '0.0.0.0',
        onMessage: (datagram) => {
          if (token.equals(datagram)) answered.set();
        },
      });
      asked.add(textOf(token));
      waiting.add(answered.giveUp);
      try {
        for (let attempt = 1; attempt <= TRIES; attempt++) {
          if (closed) break;
          const error = await socket.send(token, { address: host, port });
          if (error) throw error;
          if (await answered.within(ms / TRIES)) return;
        }
        throw noAnswer(ms);
      } finally {
        waiting.delete(answered.giveUp);
        asked.delete(textOf(token));
        await socket.close();
      }
    },
    close() {
      closed = true;
      for (const giveUp of waiting) giveUp();
    },
  };
}

function textOf(token: Uint8Array): string {
  return Buffer.from(token.buffer, token.byteOffset, token.byteLength).toString('hex');
}

interface Signal {
  set(): void;
  /** Ends a wait without a result. */
  giveUp(): void;
  within(ms: number): Promise<boolean>;
}

function createSignal(): Signal {
  let isSet = false;
  let wake: (() => void) | undefined;
  return {
    set() {
      isSet = true;
      wake?.();
    },
    giveUp: () => wake?.(),
    async within(ms) {
      if (isSet) return true;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      return isSet;
    },
  };
}
