import { setTimeout as sleep } from 'node:timers/promises';
import type { Line } from './line.ts';
import { openLine } from './line.ts';
import { addressOf } from './node.ts';
import {
  aborted,
  done,
  type FleetOptions,
  follower,
  keepTrying,
  MASTER,
  type Outcome,
  register,
  runFleet,
  SETTLE_MS,
} from './phases.ts';

/** How long the broker rests before, with all of them waiting. */
const REST_MS = 1000;

/**
 * Every node waits for the master's entry, on a connection of its own; then the master, node 0, registers it. The times are those from the
 * registration to each node's answer.
 */
export async function releaseOf(options: FleetOptions): Promise<Outcome> {
  const { nodes, port } = options;
  const waiting = new Set<number>();
  const allWait = Promise.withResolvers<void>();
  const allAnswered = Promise.withResolvers<void>();
  let began = 0;
  let beganAt = 0;
  let endedAt = 0;
  let answered = 0;

  async function master(line: Line, signal: AbortSignal): Promise<void> {
    await Promise.race([allWait.promise, aborted(signal)]);
    await done(line.request('GET', '/healthz'));
    await sleep(SETTLE_MS + REST_MS, undefined, { signal });
    began = performance.now();
    beganAt = Date.now();
    await register(line, MASTER, { host: addressOf(0) });
  }

  const outcome = await runFleet(options, async ({ index, signal, count }) => {
    const open = (): Promise<Line> => openLine({ port, from: addressOf(index), signal });
    const line = await keepTrying(open, signal, count, async (opened) => {
      if (index === 0) return master(opened, signal);
      const read = follower(opened, signal);
      waiting.add(index);
      if (waiting.size === nodes - 1) allWait.resolve();
      await read;
    });
    const ms = performance.now() - began;
    count({ bytes: line.received() });
    endedAt = Date.now();
    if (++answered === nodes) allAnswered.resolve();
    // To close 5,000 connections is work of another kind.
    await Promise.race([allAnswered.promise, aborted(signal)]);
    line.close();
    return ms;
  });
  return { ...outcome, window: [beganAt, endedAt] };
}
