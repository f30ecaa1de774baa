/** Locks under kills: of their holders, of their commands, and of the broker. */
import { execFileSync } from 'node:child_process';
import { constants, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../support/network/free-port.ts';
import { killIfThere } from '../../support/teardown.ts';
import { waitFor } from '../../support/wait.ts';
import { type Broker, started } from '../broker.ts';
import { startContenders } from '../lock/lock-contender.ts';
import { createResource, parseWrite, type Write } from '../lock/lock-resource.ts';
import { executable } from '../programs.ts';
import type { Row, RowResult, RowSetup } from '../row.ts';
import { configIn, newFolder } from '../sweep/sweep-places.ts';

const TTL_SECONDS = 2;
const LOCKS = ['lock-0', 'lock-1', 'lock-2', 'lock-3'];

/** The process that has started another, as long as that one is there (Linux). */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

export interface Contention {
  readonly runs: number;
  /** See `ContenderOptions`. */
  readonly isRogue: boolean;
}

export async function contend(setup: RowSetup, { runs, isRogue }: Contention): Promise<RowResult> {
  const dir = newFolder(path.join(setup.scratch, 'broker'));
  const home = path.join(setup.scratch, 'client');
  mkdirSync(home);
  const file = configIn(dir);
  // One port for all of them, so that they are found where the one before was.
  const port = await freePort();
  writeFileSync(file, readFileSync(file, 'utf8').replace('"listen_port":0', `"listen_port":${port}`));
  let broker: Broker = await started(executable.command, file);
  const pipe = path.join(setup.scratch, 'pipe');
  execFileSync('mkfifo', [pipe]);
  // Held open for writing too, so that it does not end with a writer.
  const fd = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  const resource = createResource();
  const holding = new Map<string, Write>();
  const written = new Socket({ fd, readable: true, writable: false });
  const lines = createInterface({ input: written });
  const broken: string[] = [];
  lines.on('line', (line) => {
    const write = parseWrite(line);
    if (!write) broken.push(`a line that is no write: ${line}`);
    else if (resource.write(write)) holding.set(write.lock, write);
  });
  const contenders = startContenders({
    runs,
    contenders: 20,
    locks: LOCKS,
    ttlSeconds: TTL_SECONDS,
    port,
    home,
    pipe,
    isRogue,
  });
  const kills = { holder: 0, command: 0, waiter: 0, broker: 0 };
  const freed: number[] = [];
  let readyAt = performance.now();
  const checks: Promise<void>[] = [];

  /** Looks until a lock is another's, or nobody's: that must be soon. */
  const checkFree = async ({ lock: name, revision }: Write): Promise<void> => {
    const killedAt = performance.now();
    // Another process may hold up this machine. The long form has it for itself.
    const limitMs = setup.short ? 10_000 : TTL_SECONDS * 1000 + 1000;
    for (;;) {
      const { status, body } = await broker.call('Get', { name }, 2000);
      if (status === 404 || (status === 200 && body.revision !== revision)) break;
      // A broker that has just come back counts the lifetime anew.
      const since = performance.now() - Math.max(killedAt, readyAt);
      if (status === 200 && since > limitMs) {
        broken.push(`${name} of a killed holder was not free ${since.toFixed(0)} ms later`);
        return;
      }
      await sleep(50);
    }
    freed.push(performance.now() - Math.max(killedAt, readyAt));
  };

  const isThere = ({ holder }: Write): boolean => {
    const parent = parentOf(holder);
    return [...contenders.running].some(({ pid }) => pid === parent);
  };
  const pick = <T>(all: readonly T[]): T | undefined => all[Math.floor(setup.random() * all.length)];
  while (!contenders.isOver()) {
    await sleep(20 + setup.random() * 80);
    const how = setup.random();
    const held = pick([...holding.values()].filter(isThere));
    const holder = held && parentOf(held.holder);
    if (how < 0.2 && held && holder !== undefined) {
      kills.holder++;
      killIfThere(holder);
      checks.push(checkFree(held));
    } else if (how < 0.4 && held) {
      kills.command++;
      killIfThere(held.holder);
    } else if (how < 0.44) {
      const waiter = pick([...contenders.running].filter(({ pid }) => pid !== holder));
      if (waiter?.kill('SIGKILL')) kills.waiter++;
    } else if (how < 0.47) {
      kills.broker++;
      await broker.kill();
      await sleep(setup.random() * 400);
      broker = await started(executable.command, file);
      readyAt = performance.now();
    }
  }
  await Promise.all(checks);
  await waitFor('the locks to be free', async () => {
    const { body } = await broker.call('List', { prefix: 'lock-' });
    return (body.data as { entries?: unknown[] }).entries?.length === 0;
  }).catch((error: unknown) => broken.push(String(error)));
  lines.close();
  written.destroy();
  const fenced = await broker.call('List', { prefix: 'fenced/' });
  await broker.stop();
  broken.push(...resource.broken);
  if (resource.late.length > 0) broken.push(...resource.late.map((text) => `LATE: ${text}`));
  if (resource.accepted() < runs) broken.push(`only ${resource.accepted()} writes in ${runs} runs`);
  const ends = [...contenders.ends].map(([end, count]) => `${end}: ${count}`).toSorted();
  // 4 and 6 are those of the holder's own last write.
  const known = /^(?:0|1|4|6|137|SIGKILL): /;
  broken.push(...ends.filter((end) => !known.test(end)).map((end) => `ended with ${end}`));
  return {
    figures:
      `${runs} runs, ${resource.accepted()} writes, ${resource.late.length} of a former holder; killed: ${kills.holder} holders, ` +
      `${kills.command} commands, ${kills.waiter} waiters, ${kills.broker} times the broker; locks of killed holders free after at most ` +
      `${(Math.max(0, ...freed) / 1000).toFixed(2)} s of ${TTL_SECONDS + 1} s; exit codes ${ends.join(', ')}; ${(fenced.body.data as { count: number }).count} fenced entries`,
    broken,
  };
}

export const lock: Row = {
  name: 'lock',
  shows: 'locks',
  what: 'runs of `lock` by 20 contenders for 4 locks, with `kill -9` of holders, of their commands and of the broker at random; what they write is checked for two holders',
  bound: { short: 120, long: 900 },
  skip: () => process.platform !== 'linux' && 'needs /proc',
  run: (setup) => contend(setup, { runs: setup.short ? 80 : 1000, isRogue: false }),
};
