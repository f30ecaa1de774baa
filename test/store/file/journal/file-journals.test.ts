import assert from 'node:assert/strict';
import {
  copyFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { encodeHeader } from '../../../../src/store/file/journal/frames.ts';
import { tempDir } from '../../../support/temp.ts';
import { contentOf, journalsIn, openIn, put, tear } from '../../support.ts';

let dir = '';
let file = '';

beforeEach(() => {
  dir = tempDir();
  file = path.join(dir, 'bpbroker.json');
});

/** Opening must be refused for a reason that matches, with every file left as it is. */
async function refused(reason: RegExp): Promise<void> {
  const before = contentOf(dir);
  await assert.rejects(openIn(dir), { code: 'invalid_config', message: reason });
  assert.deepEqual(contentOf(dir), before);
}

/** A copy of the files as a crash leaves them: `a` is in the file, `b` in the journal alone. */
async function crashed(): Promise<string> {
  const store = await openIn(dir);
  await store.mutate('a', put('1'));
  await store.rewrite();
  await store.mutate('b', put('2'));
  const copy = tempDir();
  for (const name of readdirSync(dir)) copyFileSync(path.join(dir, name), path.join(copy, name));
  await store.close();
  return copy;
}

function registryOf(place: string): string {
  const text = readFileSync(path.join(place, 'bpbroker.json'), 'utf8');
  return (JSON.parse(text) as { _registry: { id: string } })._registry.id;
}

describe('journals that do not belong to their file are refused', () => {
  it('a stale journal beside a newer file', async () => {
    const before = await crashed();
    const store = await openIn(dir);
    await store.mutate('c', put('3'));
    await store.close();
    for (const journal of journalsIn(dir)) rmSync(journal);
    for (const journal of journalsIn(before)) copyFileSync(journal, path.join(dir, path.basename(journal)));
    await refused(/older than the file/);
  });

  it('journals with one missing between them, where the file depends on it', async () => {
    const store = await openIn(dir, { journalBytes: 0 });
    await store.mutate('a', put('0'));
    await store.rewrite();
    const old = readFileSync(file);
    for (let i = 1; i < 3; i++) {
      await store.mutate('a', put(String(i)));
      await store.rewrite();
    }
    await store.close();
    const [, second = ''] = journalsIn(dir);
    rmSync(second);
    const latest = readFileSync(file);
    writeFileSync(file, old);
    await refused(/the journal before it ends at revision/);
    writeFileSync(file, latest);
    const again = await openIn(dir);
    assert.equal((await again.get('a'))?.data['_str'], '2');
    await again.close();
  });

  it('a journal far ahead of the file, beside those of watches', async () => {
    const store = await openIn(dir, { journalBytes: 0 });
    await store.mutate('a', put('0'));
    await store.close();
    const old = contentOf(dir);
    const later = await openIn(dir, { journalBytes: 0 });
    for (let i = 1; i < 3; i++) {
      await later.mutate('a', put(String(i)));
      await later.rewrite();
    }
    await later.close();
    // A copy of an earlier day is put back over the files, and one journal is lost.
    for (const [name, text] of Object.entries(old)) writeFileSync(path.join(dir, name), text, 'latin1');
    const ahead = journalsIn(dir).filter((journal) => !(path.basename(journal) in old));
    assert.ok(ahead.length > 1);
    for (const journal of ahead.slice(0, -1)) rmSync(journal);
    rmSync(journalsIn(dir)[1] ?? '', { force: true });
    await refused(/begins after revision|journal before it ends at revision/);
  });

  it('two journals that tell different stories of what the file does not hold', async () => {
    const first = await openIn(dir);
    await first.mutate('a', put('1'));
    await first.rewrite();
    const before = contentOf(dir);
    for (const name of ['b', 'c', 'd']) await first.mutate(name, put('2'));
    const [name = ''] = journalsIn(dir).map((journal) => path.basename(journal));
    const further = readFileSync(path.join(dir, name));
    await first.close();
    rmSync(path.join(dir, name));
    for (const [at, text] of Object.entries(before)) writeFileSync(path.join(dir, at), text, 'latin1');
    const second = await openIn(dir);
    await second.mutate('e', put('3'));
    await second.close();
    writeFileSync(path.join(dir, name), further);
    await refused(/the journal before it ends at revision 4/);
  });

  it('the current journal missing', async () => {
    const image = await crashed();
    const [journal = ''] = journalsIn(image);
    for (const name of readdirSync(image)) copyFileSync(path.join(image, name), path.join(dir, name));
    rmSync(path.join(dir, path.basename(journal)));
    await refused(/the journal after revision \d+, which it names, is missing/);
  });

  it('a journal under the name of another', async () => {
    await (await openIn(dir)).close();
    const [journal = ''] = journalsIn(dir);
    copyFileSync(journal, journal.replace(/\d$/, '7'));
    await refused(/its first line says that it begins after revision 0/);
  });

  it(
    'a journal that is a symbolic link, to root',
    { skip: process.getuid?.() !== 0 && 'needs root' },
    async () => {
      await (await openIn(dir)).close();
      const [journal = ''] = journalsIn(dir);
      const real = path.join(tempDir(), 'journal');
      copyFileSync(journal, real);
      rmSync(journal);
      symlinkSync(real, journal);
      await refused(/symbolic link/);
    },
  );
});

describe('a journal that was created and never used', () => {
  it('leaves the one before it the last, whose torn end is cut off', async () => {
    const image = await crashed();
    const [journal = ''] = journalsIn(image);
    for (const name of readdirSync(image)) copyFileSync(path.join(image, name), path.join(dir, name));
    const { text } = encodeHeader({ registry: registryOf(dir), base: 2 });
    const torn = path.join(dir, path.basename(journal));
    writeFileSync(torn.replace(/\d$/, '2'), text);
    tear(torn, '0123abcd 99 [{"torn');
    const store = await openIn(dir);
    await store.mutate('c', put('3'));
    const copy = tempDir();
    for (const name of readdirSync(dir)) copyFileSync(path.join(dir, name), path.join(copy, name));
    await store.close();
    const again = await openIn(copy);
    assert.equal(await again.count(''), 3);
    await again.close();
  });
});

describe('a journal that loses its name while it is written to', () => {
  it('ends the acknowledgements with the next write, and the last save keeps what was acknowledged', async () => {
    const store = await openIn(dir);
    await store.mutate('a', put('1'));
    for (const journal of journalsIn(dir)) rmSync(journal);
    await assert.rejects(store.mutate('b', put('2')), { code: 'outcome_unknown', message: /was removed/ });
    await assert.rejects(store.mutate('c', put('3')), { code: 'unavailable' });
    assert.equal((await store.get('a'))?.data['_str'], '1');
    await store.close();
    const again = await openIn(dir);
    assert.equal((await again.get('a'))?.data['_str'], '1');
    assert.equal(await again.count(''), 1);
    await again.close();
  });

  it('needs no older journal after the last save: one that is kept for watches goes too', async () => {
    const before = await openIn(dir);
    await before.mutate('a', put('1'));
    await before.close();
    for (const next of [true, false]) {
      const store = await openIn(dir);
      await store.mutate('b', put('2'));
      assert.equal(journalsIn(dir).length, 2, 'one is kept for watches');
      rmSync(journalsIn(dir).at(-1) ?? '');
      // The stop finds it too, where no write did.
      if (next) await assert.rejects(store.mutate('c', put('3')), { code: 'outcome_unknown' });
      await store.close();
      const again = await openIn(dir);
      assert.equal(await again.count(''), 2);
      await again.mutate('b', put('3'));
      await again.close();
    }
  });

  it('and is saved without it leaves at each step what a start reads, or refuses for the lost journal', async () => {
    const before = await openIn(dir);
    await before.mutate('a', put('1'));
    await before.close();
    const images: { step: string; dir: string }[] = [];
    let isClosing = false;
    const store = await openIn(dir, {
      onStep(step) {
        if (!isClosing) return;
        const copy = tempDir();
        for (const name of readdirSync(dir)) copyFileSync(path.join(dir, name), path.join(copy, name));
        images.push({ step, dir: copy });
      },
    });
    await store.mutate('b', put('2'));
    rmSync(journalsIn(dir).at(-1) ?? '');
    isClosing = true;
    await store.close();
    images.push({ step: 'end', dir });
    let isClean = false;
    for (const image of images) {
      isClean ||= image.step === 'current-sync-directory';
      if (!isClean) {
        await assert.rejects(openIn(image.dir), { message: /which it names, is missing/ }, image.step);
        continue;
      }
      const again = await openIn(image.dir);
      assert.equal(await again.count(''), 2, image.step);
      await again.close();
    }
    assert.ok(isClean);
  });

  it('and a file that is removed is written again at the end, also where nothing has changed', async () => {
    await (await openIn(dir)).close();
    const store = await openIn(dir);
    await store.mutate('a', put('1'));
    await store.rewrite();
    rmSync(file);
    await store.close();
    const again = await openIn(dir);
    assert.equal(await again.count(''), 1);
    await again.close();
  });

  it('ends them with the self-check too, before any write', async () => {
    const store = await openIn(dir);
    await store.mutate('a', put('1'));
    for (const journal of journalsIn(dir)) rmSync(journal);
    assert.match((await store.diskProblem()) ?? '', /moved or removed/);
    await assert.rejects(store.mutate('b', put('2')), { code: 'unavailable' });
    await store.close();
  });

  it('whose folder is gone fails the last save, which says that writes are lost', async () => {
    const place = path.join(dir, 'place');
    const store = await openIn(place.replace(/place$/, ''));
    await store.mutate('a', put('1'));
    const elsewhere = tempDir();
    renameSync(dir, path.join(elsewhere, 'moved'));
    await assert.rejects(store.mutate('b', put('2')), { code: 'outcome_unknown' });
    await assert.rejects(store.close(), { code: 'unavailable', message: /acknowledged are lost/ });
  });

  it('to a second broker, once the lock was removed, leaves the second one alone', async () => {
    const first = await openIn(dir);
    await first.mutate('a', put('1'));
    // As after the removal of the lock's files, which the store leaves to its caller.
    const second = await openIn(dir);
    await second.mutate('b', put('2'));
    await assert.rejects(first.mutate('c', put('3')), {
      code: 'outcome_unknown',
      message: /was (replaced|removed)/,
    });
    await assert.rejects(first.close(), { code: 'unavailable', message: /no longer belong to this broker/ });
    await second.close();
    const again = await openIn(dir);
    assert.deepEqual(
      (await again.list()).entries.map(({ name }) => name),
      ['a', 'b'],
    );
    await again.close();
  });

  it('to a second broker notices it too when the file held all that was in its journal', async () => {
    const first = await openIn(dir);
    await first.mutate('a', put('1'));
    await first.rewrite();
    const second = await openIn(dir);
    await assert.rejects(first.mutate('b', put('2')), { code: 'outcome_unknown', message: /was replaced/ });
    await assert.rejects(first.close(), { code: 'unavailable' });
    await second.close();
  });

  it('to a second broker writes nothing over its files, also where a rewriting was under way', async () => {
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const edits = { keep: () => gate, check: () => undefined, wrote: () => undefined };
    const first = await openIn(dir, { edits, journalBytes: 0 });
    await first.mutate('a', put('1'));
    const rewriting = first.rewrite();
    const second = await openIn(dir);
    await second.mutate('b', put('2'));
    await second.rewrite();
    const before = contentOf(dir);
    go();
    await assert.rejects(rewriting, { code: 'unavailable', message: /another broker is using it/ });
    assert.deepEqual(contentOf(dir), before);
    await assert.rejects(first.close(), { code: 'unavailable' });
    assert.deepEqual(contentOf(dir), before);
    await second.close();
  });

  it('to a second broker records no clean stop for it, even with nothing left to save', async () => {
    const first = await openIn(dir);
    await first.mutate('a', put('1'));
    await first.rewrite();
    const second = await openIn(dir);
    await second.mutate('b', put('2'));
    const before = contentOf(dir);
    await assert.rejects(first.close(), { code: 'unavailable', message: /no longer belong to this broker/ });
    assert.deepEqual(contentOf(dir), before);
    await second.close();
  });
});

describe('writes that wait for the disk', () => {
  it('are bounded in bytes: what comes beyond is refused whole, and may be tried again', async () => {
    const store = await openIn(dir, { pendingBytes: 120_000 });
    const results: Promise<string>[] = [];
    for (let i = 0; i < 5; i++) {
      results.push(
        store.mutate(`n${i}`, put('x'.repeat(50_000))).then(
          () => 'ok',
          (error: { code: string; retryAfter?: number }) => `${error.code} ${error.retryAfter}`,
        ),
      );
    }
    assert.deepEqual(await Promise.all(results), ['ok', 'ok', 'ok', 'unavailable 1', 'unavailable 1']);
    assert.equal(await store.count(''), 3);
    await store.mutate('later', put('1'));
    assert.equal(store.health().writable, true);
    await store.close();
  });
});
