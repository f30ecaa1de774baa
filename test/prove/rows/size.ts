/** A registry as large as it may be, and one with many entries: it starts again on every runtime. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../../build/root.ts';
import { type Broker, start, started, type State } from '../broker.ts';
import { rssMiB } from '../proc.ts';
import { everyProgram, executable } from '../programs.ts';
import type { Row } from '../row.ts';
import { runProgram } from '../run-program.ts';
import { configIn, newFolder } from '../sweep/sweep-places.ts';

const MINUTES = 60_000;

/** Of names and data; a restore sets other revisions. */
function digest(state: State): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(state).toSorted())
    hash.update(`${name} ${(state[name] ?? '').replace(/^\[\d+,/, '')}\n`);
  return `${Object.keys(state).length} entries ${hash.digest('hex').slice(0, 12)}`;
}

/** Writes until the limit refuses it; returns the refusal. */
async function fillUp(broker: Broker, data: object): Promise<{ entries: number; message: string }> {
  for (let n = 0; n < 20_000; n++) {
    const { status, body } = await broker.put(`entry-${n}`, data);
    if (status === 200) continue;
    if (status !== 507 || body.code !== 'storage_full')
      throw new Error(`The write past the limit was answered ${status} ${body.code}: ${body.message}`);
    return { entries: n, message: body.message ?? '' };
  }
  throw new Error('No limit was met in 20,000 entries');
}

const hasLimit = (): boolean =>
  readFileSync(path.join(root, 'src', 'config', 'schema.ts'), 'utf8').includes('max_bytes');

export const limit: Row = {
  name: 'limit',
  shows: '21',
  what: 'a registry filled up to `_store.max_bytes` (its default) reopens, is backed up and restored on every runtime',
  bound: { short: 120, long: 900 },
  skip: () => !hasLimit() && 'there is no limit on the registry yet (`_store.max_bytes`)',
  async run(setup) {
    const broken: string[] = [];
    const dir = newFolder(
      path.join(setup.scratch, 'broker'),
      { backup_freq_secs: 0 },
      setup.short ? { max_bytes: 4 * 1024 ** 2 } : undefined,
    );
    const file = configIn(dir);
    const first = await started(executable.command, file);
    // Six bytes of JSON each; an entry may have 1 MiB.
    const pad = 'ü"\n'.repeat(setup.short ? 8000 : 170_000);
    const { entries, message } = await fillUp(first, { pad });
    if (!message.includes('max_bytes')) broken.push(`the refusal does not name the limit: ${message}`);
    const expected = digest(await first.list(20));
    const end = await first.stop(2 * MINUTES);
    if (end.code !== 0) broken.push(`it ended with ${end.signal ?? end.code}`);
    const told: string[] = [];
    for (const { name, command } of everyProgram()) {
      const began = performance.now();
      const broker = await start(command, file, { timeoutMs: 2 * MINUTES });
      if ('refused' in broker) {
        broken.push(`${name}: NO START: ${broker.refused.slice(-300)}`);
        continue;
      }
      told.push(`${name} starts in ${((performance.now() - began) / 1000).toFixed(1)} s`);
      const found = digest(await broker.list(20));
      if (found !== expected) broken.push(`${name}: ${found} instead of ${expected}`);
      // After a kill its journal is read too, and the file is written anew.
      await broker.kill();
      const made = await runProgram([...command, 'backup', '--config', file], dir, {}, 3 * MINUTES);
      if (made.code !== 0) broken.push(`${name}: NO BACKUP: ${made.stderr.slice(-300)}`);
      const to = configIn(newFolder(path.join(setup.scratch, `restored-${name.replaceAll(' ', '-')}`)));
      const words = [...command, 'restore', '--from', made.stdout.trim(), '--config', to];
      const restored = await runProgram(words, dir, {}, 3 * MINUTES);
      if (restored.code !== 0) {
        broken.push(`${name}: NO RESTORE: ${restored.stderr.slice(-300)}`);
        continue;
      }
      const again = await start(command, to, { timeoutMs: 2 * MINUTES });
      if ('refused' in again)
        broken.push(`${name}: NO START after the restore: ${again.refused.slice(-300)}`);
      else {
        if (digest(await again.list(20)) !== expected) broken.push(`${name}: the restored state differs`);
        await again.kill();
      }
    }
    const mib = (statSync(file).size / 1024 ** 2).toFixed(0);
    return { figures: `${entries} entries, a file of ${mib} MiB; ${told.join(', ')}`, broken };
  },
};

/** Writes `count` entries, many at a time. */
async function writeMany(broker: Broker, prefix: string, count: number): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      const n = next++;
      const { status, body } = await broker.put(`${prefix}-${n}`, { n, pad: 'x'.repeat(60) });
      if (status !== 200) throw new Error(`a write was answered ${status}: ${body.message}`);
    }
  };
  await Promise.all(Array.from({ length: 64 }, work));
}

export const restart: Row = {
  name: 'restart',
  shows: '17',
  what: 'a start after `kill -9` with 100,000 entries in the file and 50,000 records in the journal, and with 1,000,000 entries',
  bound: { short: 90, long: 1200 },
  skip: () => process.platform !== 'linux' && 'needs /proc',
  async run(setup) {
    const broken: string[] = [];
    const told: string[] = [];
    const sizes = setup.short
      ? [[3000, 1500]]
      : [
          [100_000, 50_000],
          [1_000_000, 50_000],
        ];
    for (const [entries = 0, records = 0] of sizes) {
      const dir = newFolder(path.join(setup.scratch, `broker-${entries}`));
      const file = configIn(dir);
      let broker = await started(executable.command, file);
      await writeMany(broker, 'file', entries);
      await broker.stop(MINUTES);
      broker = await started(executable.command, file, { timeoutMs: MINUTES });
      await writeMany(broker, 'journal', records);
      await broker.kill();
      const began = performance.now();
      broker = await started(executable.command, file, { timeoutMs: MINUTES });
      const seconds = (performance.now() - began) / 1000;
      const memory = rssMiB(broker.child.pid ?? 0);
      const { body } = await broker.call('Get', { name: `journal-${records - 1}` });
      if (body.success !== true) broken.push(`the last record of ${records} is gone`);
      await broker.kill();
      told.push(
        `${entries} entries and ${records} records: ${seconds.toFixed(2)} s, ${memory.toFixed(0)} MiB`,
      );
      if (!setup.short && entries === 100_000 && seconds >= 2)
        broken.push(`${entries} entries took ${seconds.toFixed(2)} s`);
    }
    return { figures: told.join('; '), broken };
  },
};
