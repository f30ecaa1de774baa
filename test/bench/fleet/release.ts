import { setTimeout as sleep } from 'node:timers/promises';
import { type HttpConnection, openHttpConnection } from './http-connection.ts';
import { addressOf } from './node.ts';
import {
  aborted,
  done,
  type FleetOptions,
  follower,
  keepTrying,
  MASTER,
  type Node,
  type Outcome,
  portFor,
  register,
  runFleet,
} from './phases.ts';

/** How long the server rests before, with all of them waiting. */
const REST_MS = 1000;

/** A node's connection. */
export interface Connection {
  /** Bytes received. */
  received(): number;
  close(): void;
}

/** How nodes wait for one thing, and how it comes about. */
export interface Waited {
  /** Settles once the node has been released. It calls `waits` when it has begun to wait. */
  follow(node: Node, waits: () => void): Promise<Connection>;
  /** Node 0: settles once it has done what releases all others. It must await `ready` right before. */
  lead(node: Node, ready: () => Promise<void>): Promise<Connection>;
}

/**
 * Every node waits, on a connection of its own; then node 0 does what releases them. The times are those from then on to each node's
 * answer.
 */
export async function released(options: FleetOptions, { follow, lead }: Waited): Promise<Outcome> {
  const { nodes } = options;
  const waiting = new Set<number>();
  const allWait = Promise.withResolvers<void>();
  const allAnswered = Promise.withResolvers<void>();
  let began = 0;
  let beganAt = 0;
  let endedAt = 0;
  let answered = 0;
  if (nodes === 1) allWait.resolve();

  const outcome = await runFleet(options, async (node) => {
    const { index, signal, count } = node;
    const ready = async (): Promise<void> => {
      await Promise.race([allWait.promise, aborted(signal)]);
      await sleep(REST_MS, undefined, { signal });
      began = performance.now();
      beganAt = Date.now();
    };
    const waits = (): void => {
      waiting.add(index);
      if (waiting.size === nodes - 1) allWait.resolve();
    };
    const connection = index === 0 ? await lead(node, ready) : await follow(node, waits);
    const ms = performance.now() - began;
    count({ bytes: connection.received() });
    endedAt = Date.now();
    if (++answered === nodes) allAnswered.resolve();
    // To close 5,000 connections is work of another kind.
    await Promise.race([allAnswered.promise, aborted(signal)]);
    connection.close();
    return ms;
  });
  return { ...outcome, window: [beganAt, endedAt] };
}

/** Every node waits for the master's entry at a broker; then the master, node 0, registers it. */
export async function releaseOf(options: FleetOptions): Promise<Outcome> {
  const opener =
    ({ index, signal }: Node) =>
    (): Promise<HttpConnection> =>
      openHttpConnection({ port: portFor(index, options), from: addressOf(index), signal });
  return released(options, {
    follow: (node, waits) =>
      keepTrying(opener(node), node.signal, node.count, async (line) => {
        const read = follower(line, node.signal);
        waits();
        await read;
      }),
    lead: (node, ready) =>
      keepTrying(opener(node), node.signal, node.count, async (line) => {
        await done(line.request('GET', '/healthz'));
        await ready();
        await register(line, MASTER, { host: addressOf(0) });
      }),
  });
}
