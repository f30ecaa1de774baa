import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { SPARE_BYTES, withoutSpare, readJournal } from '../../../../src/store/file/journal/frames.ts';
import { tempDir } from '../../../support/temp.ts';
import { crashedImage, scratch, SPARES, tryOpen } from '../damage-support.ts';
import { journalsIn, openIn, put } from '../../support.ts';

const SECTOR = 512;

describe('a journal cut short by a crash', () => {
  it('at any byte of its last record opens without that record, and keeps the bytes cut off', async () => {
    const { files, journal, lastFrame, before, after } = await crashedImage(6, 40);
    const whole = files[journal] ?? '';
    const place = scratch();
    for (const spare of SPARES) {
      for (let cut = lastFrame; cut <= whole.length; cut++) {
        place.reset({ ...files, [journal]: whole.slice(0, cut) + spare });
        const opened = await tryOpen(place.dir);
        assert.ok('entries' in opened, `cut at ${cut}: ${JSON.stringify(opened)}`);
        assert.deepEqual(opened.entries, cut === whole.length ? after : before);
        const torn = path.join(place.dir, `${journal}.torn-1`);
        const isTorn = cut > lastFrame && cut < whole.length;
        assert.equal(existsSync(torn), isTorn);
        assert.equal(opened.warnings.length, isTorn ? 1 : 0);
        if (isTorn) assert.equal(readFileSync(torn, 'latin1'), whole.slice(lastFrame, cut));
        const again = await tryOpen(place.dir);
        assert.deepEqual('entries' in again && again.entries, opened.entries);
      }
    }
  });

  it('in any of its sectors, with others after them written, opens without that record', async () => {
    const { files, journal, lastFrame, before } = await crashedImage(6, 40, 2000);
    const whole = files[journal] ?? '';
    const place = scratch();
    const sectors = Math.ceil(whole.length / SECTOR) - Math.floor(lastFrame / SECTOR);
    assert.ok(sectors >= 4);
    for (let written = 0; written < 2 ** sectors - 1; written++) {
      let torn = whole.slice(0, lastFrame);
      for (let i = 0; i < sectors; i++) {
        const end = Math.min(whole.length, (Math.floor(lastFrame / SECTOR) + i + 1) * SECTOR);
        const piece = whole.slice(torn.length, end);
        torn += written & (1 << i) ? piece : '\0'.repeat(piece.length);
      }
      place.reset({ ...files, [journal]: torn + SPARES[1] });
      const opened = await tryOpen(place.dir);
      assert.ok('entries' in opened, `sectors ${written.toString(2)}: ${JSON.stringify(opened)}`);
      assert.deepEqual(opened.entries, before);
    }
  });

  it('and followed by any number of NULs opens too, whole or torn, with a warning where they are more than spare room', async () => {
    const { files, journal, lastFrame, before, after } = await crashedImage(6, 40);
    const whole = files[journal] ?? '';
    const place = scratch();
    for (const nuls of [1, 7, 512, SPARE_BYTES, SPARE_BYTES + 1]) {
      for (const cut of [lastFrame, lastFrame + 5, whole.length - 2, whole.length]) {
        place.reset({ ...files, [journal]: whole.slice(0, cut) + '\0'.repeat(nuls) });
        const opened = await tryOpen(place.dir);
        assert.ok('entries' in opened, JSON.stringify(opened));
        assert.deepEqual(opened.entries, cut === whole.length ? after : before);
        const isWhole = cut === lastFrame || cut === whole.length;
        const warning =
          isWhole && nuls <= SPARE_BYTES
            ? /^$/
            : new RegExp(`cut at byte offset ${cut < whole.length ? lastFrame : cut}`);
        assert.match(opened.warnings[0] ?? '', warning);
      }
    }
  });

  it('holds spare room while it is written to, and none after a stop', async () => {
    const dir = tempDir();
    const store = await openIn(dir);
    await store.mutate('a', put('1'));
    const [journal = ''] = journalsIn(dir);
    const { length } = withoutSpare(readFileSync(journal));
    assert.equal(statSync(journal).size, length + SPARE_BYTES);
    await store.mutate('a', put('2'));
    assert.equal(statSync(journal).size, length + SPARE_BYTES);
    await store.close();
    const bytes = readFileSync(journal);
    assert.equal(bytes.at(-1), 0x0a);
    assert.equal(readJournal(bytes)?.frames.length, 2);
  });

  it('keeps what an earlier crash cut off', async () => {
    const { files, journal } = await crashedImage(2, 1);
    const place = scratch();
    place.reset({
      ...files,
      [journal]: (files[journal] ?? '').slice(0, -3),
      [`${journal}.torn-1`]: 'earlier',
    });
    assert.ok('entries' in (await tryOpen(place.dir)));
    const torn = readdirSync(place.dir).filter((name) => name.includes('.torn-'));
    assert.deepEqual(torn.toSorted(), [`${journal}.torn-1`, `${journal}.torn-2`]);
    assert.equal(readFileSync(path.join(place.dir, `${journal}.torn-1`), 'utf8'), 'earlier');
  });
});
