/** Power cuts and kills under load: what was acknowledged is stored, and the broker starts again. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { start } from '../broker.ts';
import { compiled } from '../sweep/compiled.ts';
import { type Disk, makeDisk, makeVolatileDisk, noDisks, noVolatileDisks } from '../sweep/disk.ts';
import { compare, type Ledger, newLedger, refusals, startWriters } from '../history/ledger.ts';
import { executable } from '../programs.ts';
import type { Row, RowResult, RowSetup } from '../row.ts';
import { configIn, newFolder } from '../sweep/sweep-places.ts';

interface CutOptions {
  readonly dir: string;
  /** Takes the power away, or does nothing where the kill is all there is. */
  readonly disk?: Disk;
  readonly cycles: number;
  readonly ledger: Ledger;
  /** Around the broker. */
  readonly wrap?: (scratch: string, dir: string) => readonly string[];
}

/** Returns what was lost, cycle by cycle; ends early once the broker does not start again. */
async function cutAndCompare(setup: RowSetup, options: CutOptions): Promise<string[]> {
  const { dir, disk, cycles, ledger } = options;
  const broken: string[] = [];
  const file = configIn(dir);
  const wrap = options.wrap?.(setup.scratch, dir) ?? [];
  for (let cycle = 0; cycle <= cycles; cycle++) {
    const broker = await start(executable.command, file, { wrap });
    if ('refused' in broker) return [...broken, `NO START after cut ${cycle}: ${broker.refused.slice(-500)}`];
    const found = compare(ledger, await broker.list());
    broken.push(...found.map((text) => `cut ${cycle}: ${text}`));
    if (cycle === cycles) {
      await broker.stop();
      break;
    }
    const before = ledger.acknowledged;
    const writers = startWriters(broker, ledger, {
      writers: 8,
      namesEach: 6,
      bytes: setup.random() < 0.1 ? 200_000 : 2000,
      random: setup.random,
    });
    while (ledger.acknowledged === before && !broker.isOver()) await sleep(2);
    await sleep(20 + setup.random() * 250);
    writers.halt();
    await disk?.cut();
    await broker.kill();
    await writers.stop();
    await disk?.back();
  }
  return broken;
}

const figures = (cycles: string, ledger: Ledger, broken: readonly string[]): string =>
  `${cycles}, ${ledger.acknowledged} writes acknowledged, ${broken.length} lost or made up; ${refusals(ledger)}`;

async function onDisk(
  setup: RowSetup,
  makers: Readonly<Record<string, (scratch: string) => Promise<Disk>>>,
  cycles: number,
): Promise<RowResult> {
  const broken: string[] = [];
  const told: string[] = [];
  for (const [name, make] of Object.entries(makers)) {
    const scratch = path.join(setup.scratch, name);
    const disk = await make(scratch);
    const ledger = newLedger();
    try {
      const dir = newFolder(path.join(disk.dir, 'broker'));
      const lost = await cutAndCompare(setup, { dir, disk, cycles, ledger });
      broken.push(...[...lost, ...ledger.broken].map((text) => `${name}: ${text}`));
      told.push(figures(`${cycles} cuts on ${name}`, ledger, lost));
    } finally {
      await disk.remove();
    }
  }
  return { figures: told.join('; '), broken };
}

export const kill: Row = {
  name: 'kill',
  shows: '1',
  what: '`kill -9` of the executable under 8 writers over HTTPS',
  bound: { short: 60, long: 900 },
  skip: () => process.platform === 'win32' && 'needs a system with SIGKILL',
  async run(setup) {
    const cycles = setup.short ? 15 : 1000;
    const ledger = newLedger();
    const dir = newFolder(path.join(setup.scratch, 'broker'));
    const broken = await cutAndCompare(setup, { dir, cycles, ledger });
    return { figures: figures(`${cycles} kills`, ledger, broken), broken: [...broken, ...ledger.broken] };
  },
};

export const power: Row = {
  name: 'power',
  shows: '2',
  what: 'power cuts (the file system is shut down) under 8 writers, remounted and started again',
  bound: { short: 60, long: 900 },
  skip: () => noDisks('xfs_io', 'mkfs.xfs'),
  run: async (setup) =>
    await onDisk(
      setup,
      {
        ext4: async (scratch) => await makeDisk(scratch, 'ext4', 128),
        xfs: async (scratch) => await makeDisk(scratch, 'xfs', 320),
      },
      setup.short ? 6 : 200,
    ),
};

export const volatile: Row = {
  name: 'volatile',
  shows: '19',
  what: 'power cuts on a drive with a volatile cache (FUSE), which keeps or loses each sector that was not flushed at random',
  bound: { short: 60, long: 600 },
  skip: noVolatileDisks,
  run: async (setup) =>
    await onDisk(
      setup,
      {
        ext4: async (scratch) => await makeVolatileDisk(scratch, 'ext4', 128, setup.seed),
        ...(setup.short
          ? {}
          : { xfs: async (scratch) => await makeVolatileDisk(scratch, 'xfs', 320, setup.seed + 1) }),
      },
      setup.short ? 6 : 100,
    ),
};

/** The harnesses themselves: a broker whose `fdatasync` does nothing must be caught each time. */
export const selfProof: Row = {
  name: 'self-proof',
  shows: 'the harness',
  what: 'the same cuts with every `fdatasync` of the broker skipped: each try must be caught',
  bound: { short: 120, long: 300 },
  skip: () => noVolatileDisks() || noDisks('xfs_io'),
  async run(setup) {
    const tries = setup.short ? 2 : 10;
    const makers = {
      power: async (scratch: string) => await makeDisk(scratch, 'ext4', 128),
      volatile: async (scratch: string, n: number) =>
        await makeVolatileDisk(scratch, 'ext4', 128, setup.seed + n),
    };
    const told: string[] = [];
    const broken: string[] = [];
    for (const [name, make] of Object.entries(makers)) {
      let caught = 0;
      for (let n = 0; n < tries; n++) {
        const scratch = path.join(setup.scratch, `${name}-${n}`);
        const disk = await make(scratch, n);
        try {
          const dir = newFolder(path.join(disk.dir, 'broker'));
          const found = await cutAndCompare(setup, {
            dir,
            disk,
            cycles: 5,
            ledger: newLedger(),
            wrap: () => {
              const tracer = [compiled('sweep'), '-d', dir, '-o', path.join(scratch, 'report')];
              return tracer.concat('-e', 'skip', '-n', '1', '-s', '--');
            },
          });
          if (found.length > 0) caught++;
        } finally {
          await disk.remove();
        }
      }
      told.push(`${name}: ${caught} of ${tries} caught`);
      if (caught < tries) broken.push(`${name}: only ${caught} of ${tries} were caught`);
    }
    return { figures: told.join('; '), broken };
  },
};
