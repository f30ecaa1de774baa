import { setTimeout as sleep } from 'node:timers/promises';
import { isLost, type HttpConnection, openHttpConnection } from './http-connection.ts';
import { addressOf, type NodeSocket, openNodeSocket, type Target } from './node.ts';

/** What a fleet did, a number for each node that got through. */
export interface Outcome {
  /** Milliseconds of each node, from when it started. */
  readonly ms: readonly number[];
  /** Milliseconds from the first start to the last end. */
  readonly totalMs: number;
  /** From when to when, in Unix milliseconds. */
  readonly window: readonly [from: number, to: number];
  /** Why nodes failed, each reason with how many. */
  readonly failures: Readonly<Record<string, number>>;
  /** Bytes that the server sent: datagrams, and answers before encryption. */
  readonly bytes: number;
  /** Of these, those of the answers. */
  readonly answerBytes: number;
  /** Datagrams that the server was sent. */
  readonly datagrams: number;
  /** Connections that were lost before the master's entry was read, and made again, as the client does. */
  readonly again: number;
}

export interface FleetOptions extends Target {
  readonly nodes: number;
  /** The nodes start at random within so many milliseconds; default 1000. */
  readonly withinMs?: number;
  /**
   * The longest that it may take, in milliseconds: a node that is not done then has failed. Default: 120,000.
   */
  readonly limitMs?: number;
}

/** The name that finds the broker, which it must hold. */
export const CLUSTER = 'cluster';
/** The entry that all wait for. */
export const MASTER = 'master';
/** Requests of each node in the bootstrap. */
const REQUESTS = 3;
const DISCOVER_MS = 3000;
/** As long as a broker waits before it asks to be asked again. */
const WAIT = '60s';

/** Every node asks for the cluster's broker, and has failed when no answer came within 3 s. */
export async function discoveryOf(options: FleetOptions): Promise<Outcome> {
  return runFleet(options, async ({ socket }) => {
    const found = await socket.discover(CLUSTER, DISCOVER_MS);
    if (!found) throw new Error('no answer within 3 s');
    return found.ms;
  });
}

/**
 * The whole bootstrap (contract, section 9): every node finds the broker, waits for the master's entry, reads it, registers itself,
 * and waits until all have. The master, node 0, registers once all others wait.
 */
export async function bootstrapOf(options: FleetOptions): Promise<Outcome> {
  const { nodes } = options;
  const waiting = new Set<number>();
  const allWait = Promise.withResolvers<void>();
  /** A node has written its wait. */
  const waits = (index: number): void => {
    waiting.add(index);
    if (waiting.size >= nodes - 1) allWait.resolve();
  };
  if (nodes === 1) allWait.resolve();

  async function master(line: HttpConnection, signal: AbortSignal): Promise<void> {
    await Promise.race([allWait.promise, aborted(signal)]);
    // The requests of all have been written; the broker has read them once it has answered one that was written later.
    await done(line.request('GET', '/healthz'));
    await sleep(SETTLE_MS, undefined, { signal });
    await register(line, MASTER, { host: addressOf(0) });
  }

  return runFleet(options, async ({ index, socket, signal, count }) => {
    const began = performance.now();
    const { reply, port: from } = await discoverUntil(socket, signal);
    const { port, ...pin } =
      reply.form === 'keyed' ? { port: reply.port, fingerprint: reply.fingerprint } : { port: from };
    const open = (): Promise<HttpConnection> =>
      openHttpConnection({ ...pin, port, from: addressOf(index), signal });
    const line = await keepTrying(open, signal, count, async (opened) => {
      if (index === 0) return master(opened, signal);
      const read = follower(opened, signal);
      waits(index);
      await read;
    });
    try {
      await register(line, `node/${index}`, { host: addressOf(index) });
      await barrier(line, nodes, signal);
    } finally {
      count({ bytes: line.received() });
      line.close();
    }
    return performance.now() - began;
  });
}

/** The port that a node asks which has no discovery: those of a fleet ask all brokers in turn. */
export function portFor(index: number, { ports }: Target): number {
  const port = ports[index % ports.length];
  if (port === undefined) throw new Error('The fleet was given no port to ask');
  return port;
}

/** Waits for the master's entry, for as long as it takes. */
export async function follower(line: HttpConnection, signal: AbortSignal): Promise<void> {
  for (;;) {
    const answer = await line.request('POST', '/services/Get', { name: MASTER, wait: WAIT });
    if (answer.status === 404) signal.throwIfAborted();
    else return expect(answer, ({ data }) => data?.['host'] === addressOf(0));
  }
}

/**
 * Opens a connection and makes a call on it that changes nothing, again if the connection is lost meanwhile.
 * Returns the connection.
 */
export async function keepTrying(
  open: () => Promise<HttpConnection>,
  signal: AbortSignal,
  count: Node['count'],
  work: (line: HttpConnection) => Promise<void>,
): Promise<HttpConnection> {
  for (;;) {
    let line: HttpConnection | undefined;
    try {
      line = await open();
      await work(line);
      return line;
    } catch (error) {
      count({ bytes: line?.received() ?? 0, again: 1 });
      line?.close();
      if (signal.aborted || !isLost(error)) throw error;
      await sleep(AGAIN_MS * (0.75 + Math.random() / 2), undefined, { signal });
    }
  }
}

/** Between a connection that was lost and the next one. */
const AGAIN_MS = 500;

/** The floor: as many handshakes, each with as many requests as a node's bootstrap has, to a server that only says hello. */
export async function floorOf(options: FleetOptions): Promise<Outcome> {
  return runFleet(options, async ({ index, signal, count }) => {
    const began = performance.now();
    const line = await openHttpConnection({ port: portFor(index, options), from: addressOf(index), signal });
    try {
      for (let i = 0; i < REQUESTS; i++) await done(line.request('GET', '/'));
    } finally {
      count({ bytes: line.received() });
      line.close();
    }
    return performance.now() - began;
  });
}

/** From when the broker has answered to when waits that were read just before are sure to be in its index. */
export const SETTLE_MS = 50;

export interface Node {
  readonly index: number;
  readonly socket: NodeSocket;
  /** Aborted when the time for all is up. */
  readonly signal: AbortSignal;
  count(more: { readonly bytes: number; readonly again?: number }): void;
}

/** Opens the sockets of all nodes first: that is not what is measured. */
export async function runFleet(
  options: FleetOptions,
  run: (node: Node) => Promise<number>,
): Promise<Outcome> {
  const { nodes, withinMs = 1000, limitMs = 120_000 } = options;
  const limit = new AbortController();
  const all = await Promise.all(
    Array.from({ length: nodes }, (_, index) => openNodeSocket(addressOf(index), options)),
  );
  const ms: number[] = [];
  const failures: Record<string, number> = {};
  let bytes = 0;
  let again = 0;
  const count: Node['count'] = (more) => {
    bytes += more.bytes;
    again += more.again ?? 0;
  };
  const began = performance.now();
  const beganAt = Date.now();
  const timer = setTimeout(() => limit.abort(new Error(`not done within ${limitMs} ms`)), limitMs);
  await Promise.all(
    all.map(async (socket, index) => {
      try {
        await sleep(Math.random() * withinMs);
        ms.push(await run({ index, socket, signal: limit.signal, count }));
      } catch (error) {
        // The same reason is one, whichever node it is of.
        const reason = (error instanceof Error ? error.message : String(error)).replace(
          /node\/\d+/,
          'node/…',
        );
        failures[reason] = (failures[reason] ?? 0) + 1;
      }
    }),
  );
  const totalMs = performance.now() - began;
  const window = [beganAt, Date.now()] as const;
  clearTimeout(timer);
  const answerBytes = bytes;
  for (const socket of all) count({ bytes: socket.received() });
  await Promise.all(all.map((socket) => socket.close()));
  const datagrams = all.reduce((sum, socket) => sum + socket.sent(), 0);
  return { ms, totalMs, window, failures, bytes, answerBytes, datagrams, again };
}

type Found = NonNullable<Awaited<ReturnType<NodeSocket['discover']>>>;

/** A search of 3 s after the other, as a script does that waits for its broker. */
async function discoverUntil(socket: NodeSocket, signal: AbortSignal): Promise<Found> {
  for (;;) {
    const found = await socket.discover(CLUSTER, DISCOVER_MS);
    if (found) return found;
    signal.throwIfAborted();
  }
}

export async function register(line: HttpConnection, name: string, data: object): Promise<void> {
  await done(line.request('POST', '/services/Register', { name, data }));
}

async function barrier(line: HttpConnection, nodes: number, signal: AbortSignal): Promise<void> {
  const question = { prefix: 'node/', wait_count: nodes, wait: WAIT, entries: false };
  for (;;) {
    const answer = await line.request('POST', '/services/List', question);
    expect(answer, ({ data }) => Number.isInteger(data?.['count']));
    if (Number((answer.json as Envelope).data?.['count']) >= nodes) return;
    signal.throwIfAborted();
  }
}

interface Envelope {
  readonly data?: Readonly<Record<string, unknown>>;
}

type Asked = ReturnType<HttpConnection['request']>;

export async function done(asked: Asked): Promise<void> {
  expect(await asked, () => true);
}

function expect({ status, json }: Awaited<Asked>, fits: (envelope: Envelope) => boolean): void {
  if (status === 200 && fits(json as Envelope)) return;
  throw new Error(`An answer of ${status}: ${JSON.stringify(json).slice(0, 200)}`);
}

export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
