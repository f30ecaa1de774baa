import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { Entry } from '../../../src/protocol/registry/entry.ts';
import { backupPath, listBackups, pruneBackups } from '../../../src/store/file/backup/backup-folder.ts';
import { readBackup } from '../../../src/store/file/backup/backup-text.ts';
import { readSnapshot } from '../../../src/store/file/document/snapshot.ts';
import { restoreBackup } from '../../../src/store/file/backup/restore.ts';
import { memoryDir } from './memory-dir.ts';
import { contentOf, journalsIn, openIn, OPTIONS, put, remove, take } from '../support.ts';

const isLong = process.env['BPBROKER_LONG'] === '1';

/** A registry with a backup of its state at revision 3, and two changes since. */
async function withBackup(dir = memoryDir()): Promise<{
  file: string;
  backupDir: string;
  backup: string;
  earlier: readonly Entry[];
  now: readonly Entry[];
}> {
  const backupDir = path.join(dir, 'backups');
  mkdirSync(backupDir);
  const file = path.join(dir, 'bpbroker.json');
  const store = await openIn(dir, { journalBytes: 0 });
  await store.mutate('a', put({ list: [1, 'ü😀', null] }));
  await store.mutate('b', put('lease', 60_000));
  await store.mutate('10', put('ten'));
  const earlier = (await store.list()).entries;
  const made = await store.backUp((revision) => backupPath(backupDir, file, undefined, revision));
  assert.equal(made.revision, 3);
  await store.mutate('a', remove);
  await store.mutate('c', put('later'));
  const now = (await store.list()).entries;
  await store.close();
  return { file, backupDir, backup: made.path, earlier, now };
}

describe('readBackup()', () => {
  it('returns options and entries as they were', async () => {
    const { backup, earlier } = await withBackup();
    const { document, options } = await readBackup(backup);
    assert.deepEqual(
      [...document.entries.values()].toSorted((a, b) => a.revision - b.revision),
      earlier.toSorted((a, b) => a.revision - b.revision),
    );
    assert.deepEqual(options, OPTIONS);
  });

  it('refuses every change of a byte, and every cut', async () => {
    const { backup } = await withBackup();
    const good = readFileSync(backup);
    const file = path.join(memoryDir(), 'changed.json');
    const refused = async (bytes: Buffer, what: string): Promise<void> => {
      writeFileSync(file, bytes);
      await assert.rejects(readBackup(file), { code: 'invalid_config' }, what);
    };
    for (let at = 0; at < good.length; at++) {
      for (const bit of isLong ? [0, 1, 2, 3, 4, 5, 6, 7] : [at % 8]) {
        const bytes = Buffer.from(good);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        await refused(bytes, `bit ${bit} of byte ${at}`);
      }
      await refused(good.subarray(0, at), `cut at ${at}`);
    }
    await refused(Buffer.concat([good, Buffer.from('\n')]), 'something added');
    writeFileSync(file, good);
    await readBackup(file);
  });
});

describe('the folder of backups', () => {
  it('lists them in the order in which they were made, also when the clock was set back', async () => {
    const dir = memoryDir();
    const file = '/etc/x.json';
    const paths: string[] = [];
    for (const wrong of [undefined, Date.now() + 10 * 365 * 86_400_000, undefined, undefined]) {
      const latest = (await listBackups(dir, file)).at(-1);
      const target = backupPath(dir, file, wrong ? { path: '', taken: wrong, revision: 0 } : latest, 7);
      writeFileSync(target, '');
      paths.push(target);
    }
    for (const other of ['x-1.json', 'xy-20260131T120000123Z-r0000000000000042.json', 'x-notes.json']) {
      writeFileSync(path.join(dir, other), '');
    }
    mkdirSync(path.join(dir, 'x-20260131T120000123Z-r0000000000000042.json'));
    const found = await listBackups(dir, file);
    assert.deepEqual(
      found.map((backup) => backup.path),
      paths,
    );
    await pruneBackups(dir, file, 0);
    assert.equal((await listBackups(dir, file)).length, 4);
    await pruneBackups(dir, file, 3);
    assert.deepEqual(
      (await listBackups(dir, file)).map((backup) => backup.path),
      paths.slice(1),
    );
    assert.ok(existsSync(path.join(dir, 'xy-20260131T120000123Z-r0000000000000042.json')));
  });
});

describe('readImage()', () => {
  it('returns the state of one moment while file and journals are being replaced', async () => {
    const dir = memoryDir();
    // Each rewrite begins a journal, and removes those before it.
    const store = await openIn(dir, { journalBytes: 0, historyChanges: 1 });
    const states: ReadonlyMap<string, number>[] = [new Map()];
    const load = { going: true };
    const writing = (async () => {
      for (let n = 1; load.going; n++) {
        const state = new Map(states.at(-1));
        const name = `n${n % 40}`;
        if (n % 7 === 0) state.delete(name);
        else state.set(name, n);
        const { revision } = await store.mutate(
          name,
          n % 7 === 0 ? remove : put({ n, pad: 'x'.repeat(n % 5000) }),
        );
        // A deletion of what does not exist changes nothing.
        if (revision === states.length) states.push(state);
      }
    })();
    const rewriting = (async () => {
      while (load.going) await store.rewrite();
    })();
    for (let round = 0; round < 300; round++) {
      const atLeast = store.revision;
      const { index } = await readSnapshot(path.join(dir, 'bpbroker.json'));
      assert.ok(index.revision >= atLeast, 'it holds what was durable when it was asked for');
      const held = new Map([...index.entries()].map(({ name, data }) => [name, data['n']]));
      while (states.length <= index.revision) await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(held, states[index.revision], `at revision ${index.revision}`);
    }
    load.going = false;
    await Promise.all([writing, rewriting]);
    await store.close();
  });

  it('refuses what is damaged, as a start would', async () => {
    const { file } = await withBackup();
    writeFileSync(file, readFileSync(file, 'utf8').replace('later', 'forged'));
    await assert.rejects(readSnapshot(file), /do not match their checksum/);
  });
});

describe('a restore that a crash cuts short', () => {
  it('leaves the present state or the restored one, at every step', async () => {
    const setup = await withBackup();
    const dir = path.dirname(setup.file);
    const images: { step: string; dir: string }[] = [];
    const onStep = (step: string): void => {
      const copy = path.join(memoryDir(), step);
      mkdirSync(copy);
      for (const name of Object.keys(contentOf(dir)))
        copyFileSync(path.join(dir, name), path.join(copy, name));
      images.push({ step, dir: copy });
    };
    const { file, backup: from, backupDir, earlier, now } = setup;
    const restored = await restoreBackup({ file, from, backupDir, onStep });
    assert.equal(restored.revision, 6);
    assert.deepEqual(
      images.map(({ step }) => step),
      ['kept', 'file-write', 'file-sync', 'file-rename', 'file-sync-directory', 'file-done', 'removed'],
    );
    images.push({ step: 'end', dir });
    let isOver = false;
    for (const image of images) {
      const store = await openIn(image.dir);
      isOver ||= image.step === 'file-sync-directory';
      assert.deepEqual((await store.list()).entries, isOver ? earlier : now, image.step);
      const [first] = await take(store.watch({ after: 5 }), isOver ? 1 : 0);
      if (isOver) assert.deepEqual(first, { type: 'reset', revision: 6 });
      await store.mutate('next', put('x'));
      await store.close();
      const again = await openIn(image.dir);
      assert.equal((await again.get('next'))?.revision, isOver ? 7 : 6);
      await again.close();
    }
  });
});

describe('a restore beside a record of the current journal', () => {
  for (const [what, text] of [
    ['that is empty', ''],
    ['with a changed byte', '{"format":"bpbroker current journal 1","registry":"0123456789abcdef","base";3}'],
  ] as const) {
    it(`${what} leaves a registry that starts, and keeps that record aside`, async () => {
      const { file, backup: from, backupDir, earlier } = await withBackup();
      writeFileSync(`${file}.current`, text);
      await assert.rejects(openIn(path.dirname(file)), { code: 'invalid_config' });
      const { keptIn = '' } = await restoreBackup({ file, from, backupDir });
      assert.equal(readFileSync(path.join(keptIn, 'bpbroker.json.current'), 'utf8'), text);
      const store = await openIn(path.dirname(file));
      assert.deepEqual((await store.list()).entries, earlier);
      await store.close();
    });
  }

  for (const [what, member] of [
    ['names a journal', 'base'],
    ['records a clean stop', 'clean'],
  ] as const) {
    it(`that ${what} beyond all other files goes on after its revision`, async () => {
      const { file, backup: from, backupDir } = await withBackup();
      const { id } = await readBackup(from);
      for (const journal of journalsIn(path.dirname(file))) rmSync(journal);
      const record = { format: 'bpbroker current journal 1', registry: id, [member]: 7_000_000 };
      for (const isFileThere of [true, false]) {
        if (!isFileThere) rmSync(file);
        writeFileSync(`${file}.current`, JSON.stringify(record));
        const { revision } = await restoreBackup({ file, from, backupDir });
        assert.ok(revision > 7_000_000, `${revision}`);
        const store = await openIn(path.dirname(file));
        assert.equal(store.revision, revision);
        await store.close();
      }
    });
  }
});
