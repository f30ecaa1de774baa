import { failuresOf, quantile } from '../report.ts';
import type { Run } from '../run-phase.ts';
import { count, kibibytes, mebibytes, table, timeText } from '../table.ts';

/** What one way of serving the fleet came to. */
export interface EtcdRow {
  readonly title: string;
  readonly run: Run;
}

const HEAD = [
  'nodes',
  'median',
  'p99',
  'slowest',
  'all done',
  'failed',
  'again',
  'brokers CPU',
  'etcd CPU',
  'fleet CPU',
  'brokers memory',
  'of a node',
  'etcd memory',
  'of a node',
];

/** CPU is that of a node; memory what all brokers, or all members, have grown by at their peaks. */
export function etcdTable(what: string, rows: readonly EtcdRow[]): string {
  const cells = rows.map(({ title, run }) => [title, ...cellsOf(run)]);
  return table([what, ...HEAD], cells);
}

function cellsOf(run: Run): string[] {
  const { nodes } = run;
  const micros = (seconds: number): string => `${((seconds * 1e6) / nodes).toFixed(0)} µs`;
  return [
    count(nodes),
    ...[0.5, 0.99, 1].map((part) => timeText(quantile(run, part))),
    timeText(run.totalMs),
    count(failuresOf(run)),
    count(run.again),
    ...[run.serverCpu, run.behindCpu, run.loadCpu].map(micros),
    ...[run.grown, run.behindGrown].flatMap((bytes) => [`+ ${mebibytes(bytes)}`, kibibytes(bytes / nodes)]),
  ];
}
