/** A small disk that others fill and free: the broker comes back by itself, and has lost nothing. */
import { closeSync, openSync, readdirSync, rmSync, statfsSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Broker, start } from '../broker.ts';
import { makeDisk, noDisks } from '../sweep/disk.ts';
import { compare, newLedger, refusals, startWriters } from '../history/ledger.ts';
import { executable } from '../programs.ts';
import type { Row, RowSetup } from '../row.ts';
import { configIn, newFolder } from '../sweep/sweep-places.ts';

/** Takes all the room there is. */
function fill(file: string): void {
  const fd = openSync(file, 'a');
  try {
    for (const bytes of [1024 * 1024, 4096]) {
      const zeros = Buffer.alloc(bytes);
      try {
        for (let n = 0; n < 100_000; n++) writeSync(fd, zeros);
      } catch (error) {
        if ((error as { code?: string }).code !== 'ENOSPC') throw error;
      }
    }
  } finally {
    closeSync(fd);
  }
}

export const tight: Row = {
  name: 'tight',
  shows: '20',
  what: 'an ext4 of 64 MB under 4 writers, filled by another and freed at random; some brokers killed and started while it is full',
  bound: { short: 150, long: 900 },
  skip: () => noDisks(),
  async run(setup) {
    const disk = await makeDisk(setup.scratch, 'ext4', 64);
    try {
      return await fillAndFree(setup, disk.dir);
    } finally {
      await disk.remove();
    }
  },
};

async function fillAndFree(
  setup: RowSetup,
  mounted: string,
): Promise<{ figures: string; broken: readonly string[] }> {
  const rounds = setup.short ? 3 : 20;
  // The long form takes ten minutes: thirty seconds a round.
  const roundMs = setup.short ? 8000 : 30_000;
  const { random, say } = setup;
  const dir = newFolder(path.join(mounted, 'broker'));
  const file = configIn(dir);
  const filler = path.join(mounted, 'filler');
  const ledger = newLedger();
  const broken: string[] = [];
  const load = { writers: 4, namesEach: 10, bytes: 400_000, pauseMs: 400, random };
  const first = await start(executable.command, file);
  if ('refused' in first) throw new Error(first.refused);
  let broker: Broker = first;
  let writers = startWriters(broker, ledger, load);
  let slowest = 0;
  let kills = 0;
  for (let round = 1; round <= rounds && broken.length < 10; round++) {
    const began = performance.now();
    await sleep(roundMs * (0.2 + random() * 0.3));
    fill(filler);
    const full = roundMs * (0.1 + random() * 0.3);
    await sleep(full / 2);
    // The short form has one; which round of the long form has one is left to the seed.
    if (setup.short ? round === 2 : random() < 0.3) {
      kills++;
      writers.halt();
      await broker.kill();
      await writers.stop();
      let again = await start(executable.command, file);
      if ('refused' in again) {
        broken.push(`round ${round}: NO START while the disk is full: ${again.refused.slice(-300)}`);
        rmSync(filler);
        const late = await start(executable.command, file);
        if ('refused' in late) {
          broken.push(`round ${round}: NO START once there is room: ${late.refused.slice(-300)}`);
          break;
        }
        fill(filler);
        again = late;
      }
      broker = again;
      broken.push(...compare(ledger, await broker.list()).map((text) => `round ${round}: ${text}`));
      writers = startWriters(broker, ledger, load);
    }
    fill(filler);
    await sleep(full / 2);
    rmSync(filler);
    const freed = performance.now();
    const limit = setup.short ? 15_000 : 10_000;
    while (ledger.lastAt <= freed && performance.now() - freed < limit && !broker.isOver()) await sleep(10);
    const took = (ledger.lastAt > freed ? ledger.lastAt : performance.now()) - freed;
    slowest = Math.max(slowest, took);
    say(`round ${round}: back after ${took.toFixed(0)} ms, ${freeMiB(mounted)} MiB free`);
    if (broker.isOver()) broken.push(`round ${round}: the broker has ended: ${broker.printed().slice(-300)}`);
    else if (ledger.lastAt <= freed) {
      const { body } = await broker.look('/readyz');
      broken.push(`round ${round}: NOT BACK ${limit} ms after there was room: ${JSON.stringify(body)}`);
    } else if (!setup.short && took > 2000)
      broken.push(`round ${round}: back only after ${took.toFixed(0)} ms`);
    await sleep(Math.max(0, roundMs - (performance.now() - began)));
  }
  await writers.stop();
  const end = await broker.stop();
  if (end.code !== 0)
    broken.push(`the broker ended with ${end.signal ?? end.code}: ${broker.printed().slice(-300)}`);
  const again = await start(executable.command, file);
  if ('refused' in again) broken.push(`NO START at the end: ${again.refused.slice(-300)}`);
  else {
    broken.push(...compare(ledger, await again.list()));
    await again.stop();
  }
  const left = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.tmp-|\.lock|\.torn-/.test(name),
  );
  if (left.length > 0) broken.push(`LEFT: ${left.join(' ')}`);
  const refused = refusals(ledger);
  return {
    figures:
      `filled and freed ${rounds} times, ${kills} kills while full, ${ledger.acknowledged} writes acknowledged, ` +
      `slowest back ${(slowest / 1000).toFixed(2)} s, ${left.length} leftovers; ${refused}`,
    broken: [...broken, ...ledger.broken],
  };
}

function freeMiB(dir: string): string {
  const { bavail, bsize } = statfsSync(dir);
  return ((bavail * bsize) / 1024 / 1024).toFixed(1);
}
