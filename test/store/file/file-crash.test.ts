import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from '../../../src/protocol/registry/entry.ts';
import type { FileStore } from '../../../src/store/file/file-store.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { memoryDir } from './memory-dir.ts';
import { contentOf, journalsIn, openIn, OPTIONS, put, remove, startScript, take, tear } from '../support.ts';

const cycles = process.env['BPBROKER_LONG'] === '1' ? 1000 : 20;

/** One `kill -9` under load. Returns the acknowledged writes that are gone afterwards. */
async function killAndCompare(dir: string, honesty: string, afterMs: number): Promise<string[]> {
  const log = path.join(tempDir(), 'acknowledged');
  const child = startScript('writer.child', [dir, log, honesty]);
  const ended = once(child, 'exit');
  let stderr = '';
  child.stderr?.on('data', (bytes) => (stderr += String(bytes)));
  await Promise.race([
    waitFor('the first acknowledgement', () => existsSync(log) && statSync(log).size > 0),
    ended.then(() => assert.fail(`the writer ended early: ${stderr}`)),
  ]);
  await sleep(afterMs);
  child.kill('SIGKILL');
  await ended;
  const latest = new Map<string, number>();
  for (const line of readFileSync(log, 'utf8').trim().split('\n')) {
    const [name = '', n] = line.split(' ');
    if (name) latest.set(name, Number(n));
  }
  const store = await openIn(dir);
  const lost: string[] = [];
  for (const [name, n] of latest) {
    const stands = Number((await store.get(name))?.data['n'] ?? 0);
    if (stands < n) lost.push(`${name}: ${n} was acknowledged, ${stands} is stored`);
  }
  await store.close();
  return lost;
}

describe('kill -9 under load', () => {
  it(`loses no acknowledged write in ${cycles} kills`, async () => {
    const dir = tempDir();
    for (let cycle = 0; cycle < cycles; cycle++) {
      assert.deepEqual(await killAndCompare(dir, 'honest', 10 + ((cycle * 37) % 90)), [], `kill ${cycle}`);
    }
  });

  it('is noticed by this very harness when a write is acknowledged too early', async () => {
    for (let cycle = 0; cycle < 5; cycle++) {
      assert.notDeepEqual(await killAndCompare(tempDir(), 'lying', 20 + cycle * 10), []);
    }
  });
});

/** Copies of a folder, each as a crash before one step would leave it, and what was acknowledged by then. */
interface CrashImage {
  readonly step: string;
  readonly dir: string;
  readonly acknowledged: readonly Entry[];
  /** What the write that was under way then came to. */
  underWay?: readonly Entry[];
}

function imageTaker(dir: string): {
  images: CrashImage[];
  onStep: (step: string) => void;
  /** Notes what a write came to. */
  wrote(store: FileStore, write: Promise<unknown>): Promise<void>;
} {
  const root = memoryDir();
  const images: CrashImage[] = [];
  let acknowledged: readonly Entry[] = [];
  return {
    images,
    onStep(step) {
      const copy = path.join(root, `${images.length}-${step}`);
      mkdirSync(copy);
      for (const name of readdirSync(dir)) copyFileSync(path.join(dir, name), path.join(copy, name));
      images.push({ step, dir: copy, acknowledged });
    },
    async wrote(store, write) {
      const first = images.length;
      await write;
      acknowledged = (await store.list()).entries;
      for (const image of images.slice(first)) image.underWay = acknowledged;
    },
  };
}

/** Every image must open with what was acknowledged, twice in a row, and take writes. */
async function checkImages(images: readonly CrashImage[], nested: boolean): Promise<void> {
  const known = new Set<string>();
  for (const { step, dir, ...image } of images) {
    const inner = imageTaker(dir);
    // A crash while recovering from a crash: once for each step.
    let opening = nested && !known.has(step);
    known.add(step);
    const store = await openIn(dir, { onStep: (name) => opening && inner.onStep(name), journalBytes: 0 });
    opening = false;
    const { entries, revision } = await store.list();
    const acknowledged =
      JSON.stringify(entries) === JSON.stringify(image.underWay) ? entries : image.acknowledged;
    assert.deepEqual(entries, acknowledged, step);
    if (revision > 0) {
      const [first] = await take(store.watch({ after: 0 }), 1);
      assert.ok(first?.type === 'reset' ? first.revision === revision : first?.revision === 1, step);
    }
    await store.mutate('later', put('x'));
    await store.close();
    await checkImages(
      inner.images.map((taken) => ({ ...taken, step: `${step} > ${taken.step}`, acknowledged })),
      false,
    );
    const again = await openIn(dir);
    assert.equal((await again.get('later'))?.revision, revision + 1, step);
    await again.mutate('later', remove);
    assert.deepEqual((await again.list()).entries, acknowledged, step);
    await again.close();
  }
}

describe('a crash before any step', () => {
  it('of opening, rewriting, going over to a new journal and closing leaves the acknowledged state', async () => {
    const dir = tempDir();
    const taker = imageTaker(dir);
    // A long file, so that it is rewritten when told to, and maybe beside the first write.
    const settings = {
      journalBytes: 0,
      historyChanges: 4,
      onStep: taker.onStep,
      options: () => ({ ...OPTIONS, pad: 'x'.repeat(4000) }),
    };
    let store = await openIn(dir, settings);
    for (let round = 0; round < 2; round++) {
      for (const name of ['a', 'b', `r${round}`]) {
        await taker.wrote(store, store.mutate(name, put({ round })));
      }
      await store.rewrite();
    }
    await taker.wrote(store, store.mutate('b', remove));
    await store.close();
    store = await openIn(dir, settings);
    await taker.wrote(store, store.mutate('c', put('1')));
    await store.close();
    const steps = new Set(taker.images.map((image) => image.step));
    for (const step of [
      'file-write',
      'file-rename',
      'file-sync-directory',
      'journal-rename',
      'journal-done',
      'retire',
      'retired',
    ]) {
      assert.ok(steps.has(step), `${step} is missing in ${[...steps].join()}`);
    }
    // Before its first file exists, a folder is empty, and nothing was acknowledged.
    await checkImages(
      taker.images.filter((image) => existsSync(path.join(image.dir, 'bpbroker.json'))),
      true,
    );
  });

  it('of putting a torn record aside leaves the acknowledged state', async () => {
    const dir = tempDir();
    const source = await openIn(dir);
    await source.mutate('a', put('1'));
    await source.rewrite();
    await source.mutate('b', put('2'));
    const { entries } = await source.list();
    const torn = tempDir();
    for (const [name, content] of Object.entries(contentOf(dir)))
      writeFileSync(path.join(torn, name), content, 'latin1');
    await source.close();
    const journal = journalsIn(torn).at(-1) ?? '';
    tear(journal, '0badc0de 30 [{"put":"c","rev"');
    const taker = imageTaker(torn);
    const store = await openIn(torn, { onStep: taker.onStep });
    assert.deepEqual((await store.list()).entries, entries);
    await store.close();
    assert.ok(taker.images.some((image) => image.step === 'torn-kept'));
    await checkImages(
      taker.images.map((image) => ({ ...image, acknowledged: entries })),
      true,
    );
  });

  it('of accepting entries changed by hand leaves them as they were changed', async () => {
    const dir = tempDir();
    const source = await openIn(dir);
    await source.mutate('a', put('1'));
    await source.close();
    const file = path.join(dir, 'bpbroker.json');
    writeFileSync(
      file,
      readFileSync(file, 'utf8')
        .replace('"_str":"1"', '"_str":"9"')
        .replace(/^ *"checksum".*\n/m, ''),
    );
    const taker = imageTaker(dir);
    const store = await openIn(dir, { onStep: taker.onStep });
    const { entries } = await store.list();
    assert.equal(entries[0]?.data['_str'], '9');
    await store.close();
    await checkImages(
      taker.images.map((image) => ({ ...image, acknowledged: entries })),
      true,
    );
  });
});
