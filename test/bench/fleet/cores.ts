import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { lacking } from '../../support/programs/tools.ts';

/** The broker's main thread has this processor to itself; all else is on the next one, pings first. */
const BROKER_CORE = 0;
const OTHER_CORE = 1;

/** Why processors cannot be shared out here, so that what is measured is the machine as well; nothing where they can. */
export function noCores(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may put pings first';
  if (availableParallelism() < 2) return 'there is one processor';
  const missing = lacking('taskset', 'chrt', 'renice');
  return missing === false ? undefined : missing;
}

function place(pid: number, core: number): void {
  execFileSync('taskset', ['-a', '-p', '-c', `${core}`, `${pid}`], { stdio: 'ignore' });
}

/** Its helper threads collect garbage while the main thread goes on, so they must not take its processor. */
export function placeBroker(pid: number): void {
  place(pid, BROKER_CORE);
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    // A thread may have ended meanwhile.
    if (thread !== String(pid)) spawnSync('taskset', ['-p', '-c', `${OTHER_CORE}`, thread]);
  }
}

/** Pings run as soon as they may: a reader that waits for a processor would be taken for a broker that is late. */
export function placeProbe(pid: number): void {
  place(pid, OTHER_CORE);
  execFileSync('chrt', ['-a', '-f', '-p', '10', `${pid}`], { stdio: 'ignore' });
}

/** The nodes take what pings leave. */
export function placeNodes(pid: number): void {
  place(pid, OTHER_CORE);
  execFileSync('renice', ['-n', '19', '-p', `${pid}`], { stdio: 'ignore' });
}
