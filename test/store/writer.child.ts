/**
 * Writes to the registry in a folder until it is killed, and logs each write once it is acknowledged.
 * Arguments: folder, log file, `honest` or `lying` (logs a write before it is on the disk, as a store would that acknowledges too early).
 */
import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openIn, put } from './support.ts';

const [dir = '', log = '', honesty] = process.argv.slice(2);
const store = await openIn(dir, { journalBytes: 20_000, historyChanges: 200 });
const acknowledged = openSync(log, 'a');

async function write(writer: number): Promise<never> {
  const name = `w${writer}`;
  for (let n = Number((await store.get(name))?.data['n'] ?? 0) + 1; ; n++) {
    const mutation = put({ n, pad: 'x'.repeat(n % 300) });
    if (honesty === 'lying') {
      setTimeout(() => void store.mutate(name, mutation), 20);
      await sleep(1);
    } else {
      await store.mutate(name, mutation);
    }
    writeSync(acknowledged, `${name} ${n}\n`);
  }
}

await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
