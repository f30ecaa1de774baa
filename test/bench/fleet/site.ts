import { randomBytes } from 'node:crypto';
import { type Cluster, startCluster } from './etcd/cluster.ts';
import { CLUSTER } from './phases.ts';
import { registerAt, type Server, startBroker } from './server.ts';

/** Members of the cluster that a shared registry is in. */
export const MEMBERS = 3;

/** Brokers of one registry. */
export interface Site {
  readonly brokers: readonly Server[];
  /** Where their registry is; nothing where the one broker keeps it in its file. */
  readonly cluster?: Cluster;
  /** The discovery key. */
  readonly key: string;
}

export interface SiteOptions {
  /** How to run the brokers. */
  readonly how: string;
  readonly brokers: number;
  /** Whether the registry is in etcd. */
  readonly isShared: boolean;
  /** Whether each broker has a registry of its own in the cluster, by its prefix; default false. */
  readonly isSplit?: boolean;
  /** Called with the faults that the brokers reported meanwhile. */
  readonly say: (text: string) => void;
}

/** Brokers, and a cluster where they share their registry, that are there for `use` alone. */
export async function onSite<T>(options: SiteOptions, use: (site: Site) => Promise<T>): Promise<T> {
  const site = await open(options);
  try {
    const result = await use(site);
    for (const broker of site.brokers)
      for (const line of broker.printed().split('\n'))
        if (/self-check|failed|cannot follow|\bwarn/.test(line)) options.say(line);
    return result;
  } finally {
    await close(site);
  }
}

/** A cluster that is there for `use` alone. */
export async function onCluster<T>(use: (cluster: Cluster) => Promise<T>): Promise<T> {
  const cluster = await startCluster(MEMBERS);
  try {
    return await use(cluster);
  } finally {
    await cluster.stop();
  }
}

async function open({ how, brokers: count, isShared, isSplit = false }: SiteOptions): Promise<Site> {
  const cluster = isShared ? await startCluster(MEMBERS) : undefined;
  const key = randomBytes(32).toString('hex');
  const brokers: Server[] = [];
  const site = { brokers, key, ...(cluster && { cluster }) };
  try {
    for (let i = 0; i < count; i++) {
      const prefix = isSplit ? { prefix: `/registry-${i}/` } : {};
      const store = cluster && { ...storeOptions(cluster, i), ...prefix };
      brokers.push(await startBroker(how, { key, store }));
    }
    if (brokers[0]) await registerAt(brokers[0], CLUSTER, key);
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

/** The `_store` of a broker's file. Each broker has a member of its own first, as its nearest. */
export function storeOptions({ endpoints, ca }: Cluster, broker: number): object {
  const order = endpoints.map((_, i) => endpoints[(broker + i) % endpoints.length]);
  return { driver: 'etcd', endpoints: order, ca };
}
