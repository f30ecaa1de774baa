import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { noCores } from './fleet/cores.ts';
import {
  bootTable,
  type Boot,
  type Discovery,
  discoveryTable,
  failuresOf,
  goalTable,
  releaseTable,
} from './fleet/report.ts';
import { compareEtcd } from './fleet/etcd/etcd.ts';
import { beside, pinged, type Pinged, type Run, runPhase } from './fleet/run-phase.ts';
import { CLUSTER } from './fleet/phases.ts';
import type { FloodKind } from '../support/network/flood.ts';
import { checkWay, registerAt, type Server, startBroker, startHello } from './fleet/server.ts';

/**
 * `npm run bench:fleet [-- [--etcd] executable|bun|node [NODES…]]`: nodes that boot at once. Each has a
 * loopback address and a TLS connection of its own, all in one process beside the broker. Measured are
 * discovery (open, keyed, and beside floods), the release of waiting clients, and the whole
 * bootstrap. The floor is as many handshakes and requests to the bare Hono application. Each is on a server
 * of its own. Needs Linux, `npm run build`, and a hard limit of open files (`ulimit -Hn`) of a little over
 * twice the largest number of nodes.
 *
 * With `--etcd`, which needs `etcd`: the bootstrap and the release at one broker with its file, at three over
 * three members of etcd, and at the bare members ({@link file://./fleet/etcd.ts}).
 */

const { positionals, values } = parseArgs({ allowPositionals: true, options: { etcd: { type: 'boolean' } } });
const [how = 'executable', ...given] = positionals;
const defaultSizes = values.etcd ? [100, 1000, 5000] : [100, 500, 1000, 5000];
const sizes = given.length > 0 ? given.map(Number) : defaultSizes;
const largest = Math.max(...sizes);
const forms = ['open', 'keyed'] as const;
/** Datagrams of a flood in a second. */
const FLOOD_RATE = 20_000;
/** Those whose queries have a limit by source come from many hosts; the others need one. */
const floods: readonly (readonly [form: Discovery['form'], kind: FloodKind, sources: number])[] = [
  ['open', 'garbage', 1],
  ['keyed', 'garbage', 1],
  ['open', 'names not held', 1],
  ['open', 'valid queries', 250],
  ['keyed', 'valid queries', 250],
  ['keyed', 'captured queries', 1],
];

async function main(): Promise<void> {
  checkWay(how);
  checkSizes();
  const shared = noCores();
  if (shared !== undefined) say(`pings measure the machine too, whose processors all share: ${shared}`);
  say(`${how}; the nodes start at random within a second; CPU, bytes sent and memory are those of a node\n`);
  sayFailures(values.etcd ? await compareEtcd(how, sizes, say) : await compareFloor());
}

/** Every part at one broker with its file, beside the floor. */
async function compareFloor(): Promise<Run[]> {
  const discoveries: Discovery[] = [];
  for (const form of forms) {
    for (const nodes of sizes) discoveries.push(await discover(form, nodes));
  }
  for (const [form, kind, sources] of floods)
    discoveries.push(await discover(form, largest, { kind, sources }));
  say(discoveryTable(discoveries));
  const released = await release(largest);
  say(releaseTable(released));
  const boots: Boot[] = [];
  for (const nodes of sizes) boots.push(await boot(nodes));
  say(bootTable(boots));
  say(goalTable(discoveries, released, boots));
  return [...discoveries.map(({ run }) => run), released, ...boots.flatMap((one) => Object.values(one))];
}

function sayFailures(runs: readonly Run[]): void {
  for (const { nodes, failures } of runs.filter((run) => failuresOf(run) > 0)) {
    say(`failed, of ${nodes} nodes: ${JSON.stringify(failures)}`);
    process.exitCode = 1;
  }
}

function discover(
  form: Discovery['form'],
  nodes: number,
  flood?: { readonly kind: FloodKind; readonly sources: number },
): Promise<Discovery> {
  return onBroker(form, async (server, options) => {
    const ask = (): Promise<Pinged> => pinged('discovery', server, { nodes, ...options });
    if (!flood) return { form, run: await ask() };
    const { kind, sources } = flood;
    const from = Array.from({ length: sources }, (_, i) => `127.200.0.${i + 1}`);
    const sent = {
      port: server.port,
      perSecond: FLOOD_RATE,
      kind,
      from,
      name: CLUSTER,
      key: options.key ?? '',
    };
    const { result, perSecond } = await beside(sent, ask);
    return { form, run: result, flood: { kind, perSecond } };
  });
}

function release(nodes: number): Promise<Pinged> {
  return onBroker('open', (server, options) => pinged('release', server, { nodes, ...options }));
}

async function boot(nodes: number): Promise<Boot> {
  const bootstrap = await onBroker('keyed', (server, options) =>
    runPhase('bootstrap', { server }, { nodes, ...options }),
  );
  const floor = await onServer(startHello(how), (server) =>
    runPhase('floor', { server }, { nodes, ports: [server.port] }),
  );
  return { bootstrap, floor };
}

type Use<T> = (
  server: Server,
  options: { readonly ports: readonly number[]; readonly key?: string },
) => Promise<T>;

/** A broker that is there for `use` alone. What its self-check found wrong meanwhile is printed. */
async function onBroker<T>(form: Discovery['form'], use: Use<T>): Promise<T> {
  const key = form === 'keyed' ? { key: randomBytes(32).toString('hex') } : {};
  return onServer(startBroker(how, key), async (server) => {
    await registerAt(server, CLUSTER, key.key);
    const result = await use(server, { ports: [server.port], ...key });
    for (const line of server.printed().split('\n')) if (/self-check|failed/.test(line)) say(line);
    return result;
  });
}

async function onServer<T>(starting: Promise<Server>, use: (server: Server) => Promise<T>): Promise<T> {
  const server = await starting;
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

function checkSizes(): void {
  const wrong = given.find((text) => !/^[1-9]\d{0,4}$/.test(text));
  if (wrong !== undefined) throw new Error(`Cannot run '${wrong}' nodes: expected a number from 1 to 99999`);
  const limit = Number(execFileSync('/bin/sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }));
  const needed = 2 * largest + 200;
  // Runtimes raise the soft limit to the hard one by themselves.
  if (limit < needed)
    throw new Error(
      `The hard limit of open files is ${limit}, and ${largest} nodes need ${needed}: raise it, as root with 'ulimit -Hn ${needed}'`,
    );
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

await main();
