import { lacking } from '../../../support/programs/tools.ts';
import { sumOf } from '../process.ts';
import { type EtcdRow, etcdTable } from './report-etcd.ts';
import { type Run, runPhase } from '../run-phase.ts';
import { onCluster, onSite, type Site } from '../site.ts';

/** Brokers over the one registry. */
const BROKERS = 3;

/**
 * The same fleet at one broker with its file, at three over three members of etcd, and at the bare members.
 * Each row has servers of its own. Returns every run.
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
      const run = (site: Site): Promise<Run> => runOn(site, phase, nodes);
      const one = await onSite({ how, brokers: 1, isShared: false, say }, run);
      const three = await onSite({ how, brokers: BROKERS, isShared: true, say }, run);
      rows[phase].push({ title: 'one broker, file', run: one });
      rows[phase].push({ title: `${BROKERS} brokers, etcd`, run: three });
    }
    rows.release.push({ title: 'bare watchers of etcd', run: await watchers(nodes) });
  }
  say(etcdTable('bootstrap', rows.bootstrap));
  say(etcdTable('release', rows.release));
  return [...rows.bootstrap, ...rows.release].map(({ run }) => run);
}

function runOn({ brokers, cluster, key }: Site, phase: 'bootstrap' | 'release', nodes: number): Promise<Run> {
  const measured = { server: sumOf(brokers), ...(cluster && { behind: cluster.cost }) };
  return runPhase(phase, measured, { nodes, key, ports: brokers.map(({ port }) => port) });
}

function watchers(nodes: number): Promise<Run> {
  return onCluster((cluster) => {
    const ports = cluster.endpoints.map((url) => Number(new URL(url).port));
    return runPhase('watchers', { server: sumOf([]), behind: cluster.cost }, { nodes, ports });
  });
}
