import type { FloodKind } from '../../support/network/flood.ts';
import type { Pinged, Run } from './run-phase.ts';
import { count, kibibytes, mebibytes, ratio, table, timeText } from './table.ts';

/** Discovery as it went, on the one kind of broker. */
export interface Discovery {
  readonly form: 'open' | 'keyed';
  readonly run: Pinged;
  /** A flood beside it. */
  readonly flood?: { readonly kind: FloodKind; readonly perSecond: number } | undefined;
}

/** The bootstrap of so many nodes, and the floor for as many. */
export interface Boot {
  readonly bootstrap: Run;
  readonly floor: Run;
}

export const failuresOf = ({ nodes, ms }: Run): number => nodes - ms.length;

/** The value that this part of all nodes is at or below; those that failed are above it. */
export function quantile({ ms, nodes }: Run, part: number): number {
  return ms.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(nodes * part) - 1)] ?? Infinity;
}

/** CPU time for each node. */
const CPU_HEAD = ['broker CPU', 'fleet CPU'];

function cpuCells({ serverCpu, loadCpu, nodes }: Run): string[] {
  return [serverCpu, loadCpu].map((cpu) => `${((cpu * 1e6) / nodes).toFixed(0)} µs`);
}

export function discoveryTable(found: readonly Discovery[]): string {
  const rows = found.map(({ form, run, flood }) => [
    flood ? `${form}, ${count(flood.perSecond)}/s: ${flood.kind}` : form,
    count(run.nodes),
    timeText(quantile(run, 0.5)),
    timeText(quantile(run, 0.99)),
    timeText(quantile(run, 1)),
    count(failuresOf(run)),
    count(run.datagrams),
    ...cpuCells(run),
    ...pingCells(run),
  ]);
  const head = ['discovery', 'nodes', 'median', 'p99', 'slowest', 'failed', 'datagrams'];
  return table([...head, ...CPU_HEAD, ...PING_HEAD], rows);
}

/** The p99 of pings meanwhile, and of that at rest; and how long the broker was ready then and had no processor. */
const PING_HEAD = ['p99 of pings', 'of rest', 'waited'];
const pingRatio = ({ duringMs, quietMs }: Pinged): number => duringMs / quietMs;

function pingCells(run: Pinged): string[] {
  return [`${run.duringMs.toFixed(1)} ms`, ratio(pingRatio(run)), `${run.waitedMs.toFixed(0)} ms`];
}

/** Waiting clients that were released by one registration. */
export function releaseTable(run: Pinged): string {
  const cells = [0.5, 0.99, 1].map((part) => timeText(quantile(run, part)));
  const row = [
    'release',
    count(run.nodes),
    ...cells,
    count(failuresOf(run)),
    ...cpuCells(run),
    ...pingCells(run),
  ];
  return table(['', 'nodes', 'median', 'p99', 'slowest', 'failed', ...CPU_HEAD, ...PING_HEAD], [row]);
}

export function bootTable(boots: readonly Boot[]): string {
  const head = ['nodes', 'all done', 'median', 'slowest', 'failed', 'again', 'sent', ...CPU_HEAD];
  const rows = boots.flatMap(({ bootstrap, floor }) => [
    bootRow('bootstrap', bootstrap),
    bootRow('floor', floor),
  ]);
  return table(['', ...head, 'memory', 'of a node'], rows);
}

function bootRow(title: string, run: Run): string[] {
  return [
    title,
    count(run.nodes),
    timeText(run.totalMs),
    timeText(quantile(run, 0.5)),
    timeText(quantile(run, 1)),
    count(failuresOf(run)),
    count(run.again),
    `${count(run.bytes / run.nodes)} B`,
    ...cpuCells(run),
    `+ ${mebibytes(run.grown)}`,
    kibibytes(run.grown / run.nodes),
  ];
}

/** The goals for a fleet, as the largest one that was run kept them. */
export function goalTable(
  discoveries: readonly Discovery[],
  release: Pinged,
  boots: readonly Boot[],
): string {
  const largest = boots.at(-1);
  const nodes = largest?.bootstrap.nodes ?? 0;
  const rows: string[][] = [];
  for (const { form, run, flood } of discoveries.filter((one) => one.run.nodes === nodes)) {
    const [beside, limit] = flood ? [`, beside ${flood.kind}`, 3000] : ['', 1500];
    rows.push(goal(`p99 of discovery, ${form}${beside}`, limit, quantile(run, 0.99), timeText));
    if (!flood) rows.push(goal(`p99 of pings meanwhile, of rest, ${form}`, 5, pingRatio(run), ratio));
  }
  rows.push(goal('p99 of pings in a release, of rest', 5, pingRatio(release), ratio));
  if (largest) {
    const { bootstrap, floor } = largest;
    const tenth = boots.find((one) => one.bootstrap.nodes === nodes / 10)?.bootstrap;
    if (tenth)
      rows.push(
        goal(`bootstrap, of that of ${count(tenth.nodes)}`, 12, bootstrap.totalMs / tenth.totalMs, ratio),
      );
    rows.push(goal('bootstrap, of the floor', 3, bootstrap.totalMs / floor.totalMs, ratio));
    rows.push(goal('memory of a node, KiB', 40, bootstrap.grown / 1024 / nodes, ratio));
  }
  return table([`goals, ${count(nodes)} nodes`, '', 'found', ''], rows);
}

function goal(what: string, limit: number, found: number, show: (value: number) => string): string[] {
  return [what, `at most ${show(limit)}`, show(found), found <= limit ? 'kept' : 'MISSED'];
}
