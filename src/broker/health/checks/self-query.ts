import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { openUdp } from '../../../runtime/udp.ts';

/**
 * A broker's question to itself, whether its UDP port hears and answers. It is no query of any form: a random token, sent
 * back as it came. Only the process that made it knows it, so nobody else can have a datagram returned.
 */
export interface SelfQuery {
  /** Whether a datagram is a question that has been asked just now. */
  isOwn(datagram: Uint8Array): boolean;
  /** Asks, some times over. Rejects when no answer has come within `ms`. */
  ask(host: string, port: number, ms: number): Promise<void>;
}

const TOKEN_BYTES = 16;
const TRIES = 3;

/** Somebody may be there, and says nothing in time. */
export function noAnswer(ms: number): Error {
  return Object.assign(new Error(`no answer within ${ms} ms`), { code: 'NO_ANSWER' });
}

export function createSelfQuery(): SelfQuery {
  const asked = new Set<string>();
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
      try {
        for (let attempt = 1; attempt <= TRIES; attempt++) {
          const error = await socket.send(token, { address: host, port });
          if (error) throw error;
          if (await answered.within(ms / TRIES)) return;
        }
        throw noAnswer(ms);
      } finally {
        asked.delete(textOf(token));
        await socket.close();
      }
    },
  };
}

function textOf(token: Uint8Array): string {
  return Buffer.from(token.buffer, token.byteOffset, token.byteLength).toString('hex');
}

function createSignal(): { set(): void; within(ms: number): Promise<boolean> } {
  let isSet = false;
  let wake: (() => void) | undefined;
  return {
    set() {
      isSet = true;
      wake?.();
    },
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
