import { randomBytes } from 'node:crypto';
import { lacking } from '../../support/tools.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { sumOf } from './process.ts';
import { type EtcdRow, etcdTable } from './report-etcd.ts';
import { type Run, runPhase } from './run-phase.ts';
import { registerCluster, type Server, startBroker } from './server.ts';

/** Brokers over the one registry, and members of the cluster that it is in. */
const BROKERS = 3;
const MEMBERS = 3;

interface Site {
  readonly brokers: readonly Server[];
  readonly cluster?: Cluster;
  readonly key: string;
}

/**
 * The same fleet at one broker with its file, at three over three members of etcd, and at the bare members. Each row has servers of its
 * own. Gives every run.
 */
export async function compareEtcd(
  how: string,
  sizes: readonly number[],
  say: (text: string) => void,
): Promise<Run[]> {
  const missing = lacking('etcd');
  if (missing !== false)
    throw new Error(`The fleet over etcd ${missing} (Debian: apt-get install etcd-server)`);
  const rows: { readonly bootstrap: EtcdRow[]; readonly release: EtcdRow[] } = { bootstrap: [], release: [] };
  for (const nodes of sizes) {
    for (const phase of ['bootstrap', 'release'] as const) {
      const one = await onSite(how, 1, false, (site) => runOn(site, phase, nodes));
      const three = await onSite(how, BROKERS, true, (site) => runOn(site, phase, nodes));
      rows[phase].push({ title: 'one broker, file', run: one });
      rows[phase].push({ title: `${BROKERS} brokers, etcd`, run: three });
    }
    rows.release.push({ title: 'bare watchers of etcd', run: await watchers(nodes) });
  }
  say(etcdTable('bootstrap', rows.bootstrap));
  say(etcdTable('release', rows.release));
  return [...rows.bootstrap, ...rows.release].map(({ run }) => run);

  async function onSite(
    way: string,
    brokers: number,
    isShared: boolean,
    use: (site: Site) => Promise<Run>,
  ): Promise<Run> {
    const site = await open(way, brokers, isShared);
    try {
      const run = await use(site);
      for (const broker of site.brokers)
        for (const line of broker.printed().split('\n'))
          if (/self-check|failed|cannot follow|\bwarn/.test(line)) say(line);
      return run;
    } finally {
      await close(site);
    }
  }
}

async function open(how: string, count: number, isShared: boolean): Promise<Site> {
  const cluster = isShared ? await startCluster(MEMBERS) : undefined;
  const key = randomBytes(32).toString('hex');
  const brokers: Server[] = [];
  const site = { brokers, key, ...(cluster && { cluster }) };
  try {
    for (let i = 0; i < count; i++) {
      const store = cluster && storeOptions(cluster, i);
      brokers.push(await startBroker(how, { key, store }));
    }
    if (brokers[0]) await registerCluster(brokers[0], key);
    return site;
  } catch (error) {
    await close(site);
    throw error;
  }
}

async function close({ brokers, cluster }: Site): Promise<void> {
  await Promise.all(brokers.map((broker) => broker.stop()));
  await cluster?.stop();
}

/** Each broker has a member of its own first, as its nearest. */
export function storeOptions({ endpoints, ca }: Cluster, broker: number): object {
  const order = endpoints.map((_, i) => endpoints[(broker + i) % endpoints.length]);
  return { driver: 'etcd', endpoints: order, ca };
}

function runOn({ brokers, cluster, key }: Site, phase: 'bootstrap' | 'release', nodes: number): Promise<Run> {
  const measured = { server: sumOf(brokers), ...(cluster && { behind: cluster.cost }) };
  return runPhase(phase, measured, { nodes, key, ports: brokers.map(({ port }) => port) });
}

async function watchers(nodes: number): Promise<Run> {
  const cluster = await startCluster(MEMBERS);
  try {
    const ports = cluster.endpoints.map((url) => Number(new URL(url).port));
    return await runPhase('watchers', { server: sumOf([]), behind: cluster.cost }, { nodes, ports });
  } finally {
    await cluster.stop();
  }
}
