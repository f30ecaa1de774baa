import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { tempDir } from '../../../support/temp.ts';
import { waitFor } from '../../../support/wait.ts';
import { journalsIn, openIn, put } from '../../support.ts';

describe('changing journals', () => {
  it('fails without harm at each step, and is tried again', async () => {
    for (let failing = 1; ; failing++) {
      const place = tempDir();
      let step = 0;
      let armed = false;
      const store = await openIn(place, {
        journalBytes: 0,
        onStep(name) {
          if (!armed || !/^(journal|current)-/.test(name)) return;
          step++;
          if (step === failing)
            throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
        },
      });
      await store.mutate('a', put('1'));
      armed = true;
      const hit = await store.rewrite().then(
        () => false,
        () => true,
      );
      armed = false;
      await store.mutate('b', put('2'));
      assert.equal(store.health().writable, true);
      const copy = tempDir();
      for (const name of readdirSync(place)) copyFileSync(path.join(place, name), path.join(copy, name));
      const crash = await openIn(copy);
      assert.equal(await crash.count(''), 2, `failing step ${failing}`);
      await crash.close();
      await store.rewrite();
      await store.close();
      if (!hit && step < failing) break;
    }
  });

  it('fails without harm where the record of the current journal cannot be read either', async () => {
    const dir = tempDir();
    const record = path.join(dir, 'bpbroker.json.current');
    let isShort = false;
    const store = await openIn(dir, {
      journalBytes: 0,
      onStep(step) {
        if (!isShort || step !== 'current-write') return;
        renameSync(record, `${record}-aside`);
        mkdirSync(record);
        throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
      },
    });
    await store.mutate('a', put('1'));
    isShort = true;
    await assert.rejects(store.rewrite(), { code: 'unavailable', message: /EMFILE/ });
    isShort = false;
    rmdirSync(record);
    renameSync(`${record}-aside`, record);
    assert.deepEqual(store.health(), { writable: true });
    assert.equal(journalsIn(dir).length, 1, 'the new journal is removed');
    await store.mutate('b', put('2'));
    await store.rewrite();
    await store.close();
    const again = await openIn(dir);
    assert.equal(await again.count(''), 2);
    await again.close();
  });

  it('ends all writes where the folder cannot be synced, and a start finds either record with every write', async () => {
    const dir = tempDir();
    const record = path.join(dir, 'bpbroker.json.current');
    let former: Buffer | undefined;
    let isFailing = false;
    const store = await openIn(dir, {
      journalBytes: 0,
      onStep(step) {
        if (!isFailing) return;
        if (step === 'current-rename') former = readFileSync(record);
        if (step !== 'current-sync-directory') return;
        throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO', syscall: 'fsync' });
      },
    });
    await store.mutate('a', put('1'));
    isFailing = true;
    await assert.rejects(Promise.all([store.rewrite(), store.mutate('b', put('2'))]), {
      code: 'unavailable',
    });
    isFailing = false;
    assert.equal(store.health().writable, false);
    await assert.rejects(store.mutate('c', put('3')), { code: 'unavailable', message: /EIO/ });
    const held = (await store.list()).entries;
    await assert.rejects(store.close(), { message: /every acknowledged write is in the journals/ });
    const named = readFileSync(record);
    assert.notDeepEqual(former, named);
    // A power cut may leave the one or the other.
    for (const text of [named, former ?? '']) {
      const copy = tempDir();
      for (const name of readdirSync(dir)) copyFileSync(path.join(dir, name), path.join(copy, name));
      writeFileSync(path.join(copy, 'bpbroker.json.current'), text);
      const again = await openIn(copy);
      assert.deepEqual((await again.list()).entries, held);
      await again.mutate('d', put('4'));
      await again.close();
    }
  });
});

describe('a stop while the journal is changed', () => {
  it('takes the next journal for its own at each step, and saves', async () => {
    for (let at = 0; ; at++) {
      const dir = tempDir();
      const steps: string[] = [];
      let stopped: Promise<void> | undefined;
      let changing = false;
      const store = await openIn(dir, {
        journalBytes: 0,
        onStep(step) {
          if (changing && steps.push(step) === at + 1) stopped ??= store.close();
        },
      });
      await store.mutate('a', put('1'));
      await store.rewrite();
      changing = true;
      // Longer than the file, so that it is rewritten.
      await store.mutate('b', put('2'.repeat(10_000)));
      await waitFor('the rewriting', () => stopped !== undefined || steps.includes('retire'));
      await (stopped ?? store.close());
      const again = await openIn(dir);
      assert.deepEqual(
        (await again.list()).entries.map(({ name }) => name),
        ['a', 'b'],
        steps[at],
      );
      await again.close();
      if (stopped === undefined) {
        assert.ok(steps.includes('current-rename') && steps.includes('file-rename'), steps.join());
        return;
      }
    }
  });
});
