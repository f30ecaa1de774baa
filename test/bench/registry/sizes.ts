import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { generate, load, median, register, say, start, type Started } from './server.ts';

const ROUNDS = 9;
const REGISTRATIONS = 3000;

interface Sized {
  readonly entries: number;
  readonly dir: string;
  readonly file: string;
  readonly broker: Started;
  /** Of a registration in each round, in microseconds. */
  readonly wall: number[];
  readonly cpu: number[];
}

/**
 * What a registration costs brokers of so many entries, the fewest first: they run at the same time, and each round measures all of them in
 * turn. The entries of a round are deleted before the next one. The first round only warms up.
 */
export async function compareSizes(how: string, sizes: readonly number[]): Promise<void> {
  const all: Sized[] = [];
  try {
    for (const entries of sizes) {
      const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-bench-'));
      const file = path.join(dir, 'bpbroker.json');
      generate(file, entries);
      all.push({ entries, dir, file, broker: await start(how, file), wall: [], cpu: [] });
    }
    for (let round = 0; round <= ROUNDS; round++) {
      for (const sized of all) await measure(sized, round);
    }
    const [least] = all;
    for (const { entries, wall, cpu } of all) {
      say(
        `a registration, ${entries.toLocaleString('en')} entries`,
        `${withRatio(wall, least?.wall)}, CPU ${withRatio(cpu, least?.cpu)}: in brackets of that with the fewest`,
      );
    }
  } finally {
    for (const { broker, dir } of all) {
      await broker.stop('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    }
  }
}

/** The median, and that of the ratio in each round. */
function withRatio(own: readonly number[], base: readonly number[] = []): string {
  const ratios = own.map((value, i) => value / (base[i] ?? Number.NaN));
  return `${median(own).toFixed(0)} µs (${median(ratios).toFixed(2)})`;
}

async function measure({ file, broker, wall, cpu }: Sized, round: number): Promise<void> {
  const enough = (done: number): boolean => done >= REGISTRATIONS;
  const [began, before] = [performance.now(), broker.cpuSeconds()];
  await register(file, broker, 'new/', enough);
  const [took, used] = [performance.now() - began, broker.cpuSeconds() - before];
  await load(file, broker, (client, i) => client.delete(`new/${i}`), enough);
  if (round === 0) return;
  wall.push((took * 1000) / REGISTRATIONS);
  cpu.push((used * 1e6) / REGISTRATIONS);
}
