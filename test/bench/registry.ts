import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readDocument, readStored } from '../../src/store/file/document/document.ts';
import { createPrefixCounts } from '../../src/store/memory/prefix-counts.ts';
import { createEntryIndex } from '../../src/store/memory/entry-index.ts';
import { getsWhileRewriting } from './registry/rewriting.ts';
import { generate, register, say, start, type Started } from './registry/server.ts';
import { compareSizes } from './registry/sizes.ts';

/**
 * `npm run bench:registry [-- executable|node|bun [ENTRIES]]`: what a large registry costs. Registrations by
 * its size, starts after a crash and after a clean stop, and memory. Gets while the file is rewritten, and
 * registrations with and without backups back to back. The longest turn of counting a prefix. Needs Linux,
 * and `npm run build` for the executable and Node.
 */

const how = process.argv[2] ?? 'executable';
const ENTRIES = Number(process.argv[3] ?? 1_000_000);
const SIZES = [1000, 100_000, 1_000_000].filter((size) => size <= ENTRIES);
const RECORDS = 50_000;
const SECONDS = 15;

const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-bench-'));
const file = path.join(dir, 'bpbroker.json');

async function flood(title: string, broker: Started): Promise<void> {
  const end = performance.now() + SECONDS * 1000;
  const times = await register(file, broker, title, () => performance.now() > end);
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.floor(sorted.length * part)] ?? Number.NaN).toFixed(1);
  const rate = Math.round(times.length / SECONDS).toLocaleString('en');
  say(
    `registrations, ${title}`,
    `${rate}/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(0.99999)} ms`,
  );
}

async function longestTurn(): Promise<void> {
  const document = readDocument(await readStored(file), file);
  const index = createEntryIndex();
  index.load(document.entries, document.sizes, document.revision);
  const count = createPrefixCounts(index).hold('apps/');
  let longest = 0;
  const state = { isReady: false };
  void count.ready.then(() => (state.isReady = true));
  for (let before = performance.now(); !state.isReady;) {
    await nextTurn();
    const now = performance.now();
    longest = Math.max(longest, now - before);
    before = now;
  }
  say('longest turn of a count with a prefix', `${longest.toFixed(1)} ms (${count.value} entries)`);
}

try {
  await compareSizes(how, SIZES);
  const lineBytes = generate(file, ENTRIES);
  process.stdout.write(`${how}, ${ENTRIES.toLocaleString('en')} entries, each ${lineBytes} bytes of JSON\n`);
  const clean = await start(how, file);
  say('start after a clean stop', `${(clean.readyMs / 1000).toFixed(1)} s`);
  const resident = clean.residentBytes();
  const beyond = Math.round(resident / ENTRIES - lineBytes);
  say('memory', `${Math.round(resident / 1024 ** 2)} MiB, ${beyond} bytes an entry beyond its JSON`);
  await getsWhileRewriting(file, clean);
  await register(file, clean, 'crash/', (done) => done >= RECORDS);
  await clean.stop('SIGKILL');
  const crashed = await start(how, file);
  say(`start after a crash, ${RECORDS} records`, `${(crashed.readyMs / 1000).toFixed(1)} s`);
  await flood('no backups', crashed);
  await crashed.stop('SIGKILL');
  for (const name of readdirSync(dir)) if (name.startsWith('bpbroker.json')) rmSync(path.join(dir, name));
  generate(file, ENTRIES, 0.001);
  const busy = await start(how, file);
  await flood('backups back to back', busy);
  say('backups made meanwhile, and kept', String(readdirSync(path.join(dir, 'backups')).length));
  await busy.stop('SIGKILL');
  await longestTurn();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
