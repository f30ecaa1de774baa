import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tool } from '../../../build/root.ts';
import { type FloodOptions, startFlood } from '../../support/network/flood.ts';
import { startProbe } from '../probe.ts';
import { noCores, placeBroker, placeNodes, placeProbe } from './cores.ts';
import type { PhaseName } from './load.ts';
import type { FleetOptions, Outcome } from './phases.ts';
import { type Cost, sumOf } from './process.ts';
import type { Server } from './server.ts';

/** A phase with what it cost both sides. */
export interface Run extends Outcome {
  readonly nodes: number;
  /** CPU time of the fleet's own process, in seconds. */
  readonly loadCpu: number;
  /** CPU time of the server, in seconds. */
  readonly serverCpu: number;
  /** Bytes that the server's memory grew by at its peak. */
  readonly grown: number;
  /** The same of what is behind the server; 0 where that is nothing. */
  readonly behindCpu: number;
  readonly behindGrown: number;
}

/** What is measured: the server, or several together, and what they ask in turn. */
export interface Measured {
  readonly server: Cost;
  readonly behind?: Cost;
}

/** Runs a phase in a process of its own. `begun` is called with its id before the phase begins. */
export async function runPhase(
  phase: PhaseName,
  { server, behind = sumOf([]) }: Measured,
  options: FleetOptions,
  begun?: (pid: number) => void,
): Promise<Run> {
  const child = script('load.ts', []);
  begun?.(child.pid ?? 0);
  const ended = once(child, 'exit');
  const answered = once(child, 'message');
  const costs = [server, behind];
  for (const cost of costs) cost.resetPeak();
  const before = costs.map((cost) => ({ memory: cost.memory(), cpu: cost.cpuSeconds() }));
  child.send({ phase, options });
  const first = await Promise.race([answered, ended]);
  const said = first[0] as { outcome: Outcome; cpuSeconds: number } | number | null;
  if (typeof said !== 'object' || said === null)
    throw new Error(`The fleet of ${options.nodes} nodes ended with ${said} in its phase '${phase}'`);
  await ended;
  const [own, others] = costs.map((cost, i) => ({
    cpu: cost.cpuSeconds() - (before[i]?.cpu ?? 0),
    grown: cost.peak() - (before[i]?.memory ?? 0),
  }));
  return {
    ...said.outcome,
    nodes: options.nodes,
    loadCpu: said.cpuSeconds,
    serverCpu: own?.cpu ?? 0,
    grown: own?.grown ?? 0,
    behindCpu: others?.cpu ?? 0,
    behindGrown: others?.grown ?? 0,
  };
}

/** A flood of discovery beside what `run` does. Returns also how many datagrams of it were sent in a second. */
export async function beside<T>(
  options: FloodOptions,
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly perSecond: number }> {
  const flood = await startFlood(options, tool('bun'));
  if (noCores() === undefined) placeNodes(flood.pid);
  const [result] = await Promise.allSettled([run()]);
  const perSecond = await flood.end();
  if (result.status === 'rejected') throw result.reason;
  return { result: result.value, perSecond };
}

/** A phase with how long pings took that were sent each millisecond beside it. */
export interface Pinged extends Run {
  /** Their p99 while nothing else went on, and during the phase, in milliseconds. */
  readonly quietMs: number;
  readonly duringMs: number;
  /** How long the broker's main thread waited for a processor meanwhile, in milliseconds. */
  readonly waitedMs: number;
}

/** The first pings have the broker compile its code. */
const WARM_MS = 2000;
const QUIET_MS = 2000;

/**
 * Runs a phase with pings before and beside it. The broker's main thread has a processor to itself, before as well,
 * where that can be had: else it is the machine that is measured, which all of them share.
 */
export async function pinged(phase: PhaseName, server: Server, options: FleetOptions): Promise<Pinged> {
  const probe = await startProbe(server.port, '/ping/Ping', { data: 'x' });
  const canPlace = noCores() === undefined;
  if (canPlace) {
    placeBroker(server.pid);
    placeProbe(probe.pid);
  }
  await sleep(WARM_MS);
  const quiet = Date.now();
  await sleep(QUIET_MS);
  const waited = server.waitedMs();
  const found = await runPhase(phase, { server }, options, canPlace ? placeNodes : undefined);
  const waitedMs = server.waitedMs() - waited;
  const pings = await probe.end();
  return {
    ...found,
    waitedMs,
    quietMs: pings.p99(quiet, quiet + QUIET_MS),
    duringMs: pings.p99(...found.window),
  };
}

/** The fleet runs on Bun, where a handshake costs half of what it does on Node: what it takes, the broker has not. */
function script(name: string, args: readonly string[]): ChildProcess {
  return fork(path.join(import.meta.dirname, name), args, { execPath: tool('bun'), execArgv: [] });
}
