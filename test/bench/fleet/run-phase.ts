import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { tool } from '../../../build/root.ts';
import type { FleetOptions, Outcome, PhaseName } from './phases.ts';
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
}

/** Runs a phase in a process of its own. */
export async function runPhase(phase: PhaseName, server: Server, options: FleetOptions): Promise<Run> {
  const child = script('load.ts', []);
  const ended = once(child, 'exit');
  const answered = once(child, 'message');
  server.resetPeak();
  const memory = server.memory();
  const cpu = server.cpuSeconds();
  child.send({ phase, options });
  const first = await Promise.race([answered, ended]);
  const said = first[0] as { outcome: Outcome; cpuSeconds: number } | number | null;
  if (typeof said !== 'object' || said === null)
    throw new Error(`The fleet of ${options.nodes} nodes ended with ${said} in its phase '${phase}'`);
  await ended;
  return {
    ...said.outcome,
    nodes: options.nodes,
    loadCpu: said.cpuSeconds,
    serverCpu: server.cpuSeconds() - cpu,
    grown: server.peak() - memory,
  };
}

/** Garbage beside what `run` does. Gives also how many datagrams of it were sent in a second. */
export async function beside<T>(
  port: number,
  perSecond: number,
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly perSecond: number }> {
  const child = script('flood.ts', [String(port), String(perSecond)]);
  const ended = once(child, 'exit');
  try {
    await once(child, 'message');
    const result = await run();
    const told = once(child, 'message');
    child.send('end');
    const [said] = (await told) as [{ perSecond: number }];
    return { result, perSecond: said.perSecond };
  } finally {
    child.kill();
    await ended;
  }
}

/** The fleet runs on Bun, where a handshake costs half of what it does on Node: what it takes, the broker has not. */
function script(name: string, args: readonly string[]): ChildProcess {
  return fork(path.join(import.meta.dirname, name), args, { execPath: tool('bun'), execArgv: [] });
}
