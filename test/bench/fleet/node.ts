import { setTimeout as sleep } from 'node:timers/promises';
import { pauseAfter } from '../../../src/client/discovery/finder.ts';
import { openQuestion, type Question, type Reply } from '../../../src/protocol/discovery/datagrams.ts';
import { keyedQuestion } from '../../../src/protocol/discovery/keyed-forms.ts';
import { openUdp, type UdpPeer, type UdpSocket } from '../../../src/runtime/network/udp.ts';

/** Where a fleet's broker answers, or each of several over one registry. */
export interface Target {
  /** UDP port of discovery, and in the open form TCP port of the API; of each broker. */
  readonly ports: readonly number[];
  /** The discovery key; absent: the open form. */
  readonly key?: string;
}

/** A node's discovery that got its answer. */
export interface Found {
  readonly reply: Reply;
  /** UDP port that it came from. */
  readonly port: number;
  /** Milliseconds from its first query. */
  readonly ms: number;
}

/** The socket of a node, bound to a loopback address of its own. */
export interface NodeSocket {
  /**
   * Asks for the name as the client does, until the first answer, on the client's schedule. Each query is
   * sent twice, as by a host that sends to its subnet's broadcast address and to 255.255.255.255. Every
   * broker hears each query.
   * @returns nothing when none came within `timeoutMs`.
   */
  discover(name: string, timeoutMs: number): Promise<Found | undefined>;
  /** Bytes of all that came. */
  received(): number;
  /** Datagrams sent. */
  sent(): number;
  close(): Promise<void>;
}

/** How often each query is sent at once. */
const COPIES = 2;

/** A loopback address for each node: 127.1.0.1 and on. The networks of tests and of the broker's own queries are elsewhere. */
export function addressOf(index: number): string {
  const at = index + 1;
  return `127.${1 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}`;
}

export async function openNodeSocket(address: string, target: Target): Promise<NodeSocket> {
  const brokers = target.ports.map((port): UdpPeer => ({ address: '127.0.0.1', port }));
  let received = 0;
  let sent = 0;
  let hear: ((datagram: Uint8Array, from: UdpPeer) => void) | undefined;
  const socket: UdpSocket = await openUdp({
    family: 4,
    address,
    onMessage(datagram, from) {
      received += datagram.length;
      hear?.(datagram, from);
    },
  });
  const send = async (datagram: Uint8Array, to: UdpPeer): Promise<void> => {
    sent += 1;
    const error = await socket.send(datagram, to);
    if (error) throw error;
  };

  return {
    async discover(name, timeoutMs) {
      const question = questionFor(name, target);
      const began = performance.now();
      const over = new AbortController();
      let found: Found | undefined;
      let problem: unknown;
      const fail = (error: unknown): void => {
        problem = error;
        over.abort();
      };
      hear = (datagram, from) => {
        const reply = question.read(datagram);
        if (!reply || found) return;
        if (reply.form === 'challenge') {
          send(reply.query, from).catch(fail);
          return;
        }
        found = { reply, port: from.port, ms: performance.now() - began };
        over.abort();
      };
      for (let round = 0; !over.signal.aborted; round++) {
        const left = began + timeoutMs - performance.now();
        if (left <= 0) break;
        for (let copy = 0; copy < COPIES; copy++) {
          for (const datagram of question.queries(round))
            for (const broker of brokers) send(datagram, broker).catch(fail);
        }
        await sleep(Math.min(pauseAfter(round), left), undefined, { signal: over.signal }).catch(
          () => undefined,
        );
      }
      hear = undefined;
      if (problem instanceof Error) throw problem;
      return found;
    },
    received: () => received,
    sent: () => sent,
    close: () => socket.close(),
  };
}

function questionFor(name: string, { key }: Target): Question {
  return key === undefined ? openQuestion(name) : keyedQuestion(name, key);
}
