import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { tempDir } from '../../../support/temp.ts';
import { waitFor } from '../../../support/wait.ts';
import { journalsIn, openIn, put, tear } from '../../support.ts';

const MIB = 1024 * 1024;
const noMount = process.platform === 'linux' && process.getuid?.() === 0 ? false : 'needs Linux and root';

/** Runs `use` in a folder on a disk of its own. */
async function onDisk(mib: number, use: (dir: string) => Promise<void>): Promise<void> {
  const place = path.join(tempDir(), 'disk');
  mkdirSync(place);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', place]);
  try {
    await use(place);
  } finally {
    execFileSync('umount', ['-l', place]);
  }
}

function freeIn(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}

/** Bytes of a file; 0 where there is none. */
function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** Fills the disk but for `left` bytes. */
function fill(dir: string, left = 0, name = 'filler'): string {
  const filler = path.join(dir, name);
  writeFileSync(filler, Buffer.alloc(Math.max(0, freeIn(dir) - left)));
  return filler;
}

/** The files of a registry as a crash leaves them, with `mib` MiB of entries in the journal alone. */
async function crashedFiles(mib: number): Promise<string> {
  const dir = tempDir();
  const store = await openIn(dir);
  for (let i = 0; i < mib; i++) await store.mutate(`n${i}`, put('x'.repeat(MIB - 1000)));
  const copy = tempDir();
  for (const name of readdirSync(dir)) copyFileSync(path.join(dir, name), path.join(copy, name));
  await store.close();
  return copy;
}

describe('a start on a full disk', { skip: noMount }, () => {
  it('after a crash serves reads, says why it refuses writes, and takes them once there is room', async () => {
    const crashed = await crashedFiles(2);
    await onDisk(6, async (dir) => {
      for (const name of readdirSync(crashed)) copyFileSync(path.join(crashed, name), path.join(dir, name));
      const filler = fill(dir);
      const store = await openIn(dir, { probeMs: 20 });
      assert.equal(await store.count(''), 2);
      assert.match(store.health().reason ?? '', /no room on the disk/);
      await assert.rejects(store.mutate('a', put('1')), { code: 'storage_full' });
      await assert.rejects(store.rewrite(), { code: 'storage_full' });
      rmSync(filler);
      await waitFor('writes to be taken', () => store.health().writable);
      await store.mutate('a', put('1'));
      await store.close();
      const again = await openIn(dir);
      assert.equal(await again.count(''), 3);
      await again.close();
    });
  });

  it('leaves nothing behind, however often it is tried', async () => {
    const crashed = await crashedFiles(2);
    for (const journal of journalsIn(crashed)) tear(journal, '0123abcd 99 [{"torn');
    await onDisk(6, async (dir) => {
      for (const name of readdirSync(crashed)) copyFileSync(path.join(crashed, name), path.join(dir, name));
      fill(dir, 64 * 1024);
      const before = readdirSync(dir);
      for (let attempt = 0; attempt < 3; attempt++) {
        const store = await openIn(dir, { probeMs: 20 });
        assert.equal(await store.count(''), 2);
        await store.close();
      }
      const added = readdirSync(dir).filter((name) => !before.includes(name));
      assert.deepEqual(
        added.map((name) => name.replace(/\d{16}/, 'N')),
        ['bpbroker.json.journal.N.torn-1'],
      );
    });
  });

  it('that finds no room misses no journal that an attempt before it gave up', async () => {
    const before = tempDir();
    const store = await openIn(before);
    await store.mutate('a', put('1'));
    await store.rewrite();
    await onDisk(1, async (dir) => {
      for (const name of readdirSync(before)) copyFileSync(path.join(before, name), path.join(dir, name));
      const filler = fill(dir);
      for (let attempt = 0; attempt < 2; attempt++) {
        const full = await openIn(dir);
        assert.equal(await full.count(''), 1);
        // There may be no room to record that it was closed.
        await Promise.allSettled([full.close()]);
      }
      rmSync(filler);
      const again = await openIn(dir);
      await again.mutate('b', put('2'));
      await again.close();
    });
    await store.close();
  });

  it('removes what an earlier attempt left before it needs room', async () => {
    const crashed = await crashedFiles(2);
    await onDisk(6, async (dir) => {
      for (const name of readdirSync(crashed)) copyFileSync(path.join(crashed, name), path.join(dir, name));
      const [journal = ''] = journalsIn(dir);
      writeFileSync(`${journal}.tmp-0123456789abcdef`, Buffer.alloc(freeIn(dir)));
      const store = await openIn(dir);
      await store.mutate('a', put('1'));
      await store.close();
    });
  });
});

describe('a disk that fills up', { skip: noMount }, () => {
  it('takes writes without spare room for the journal, and keeps what is left for others', async () => {
    await onDisk(2, async (dir) => {
      const store = await openIn(dir);
      fill(dir, 200 * 1024);
      for (let i = 0; i < 4; i++) await store.mutate(`n${i}`, put('x'.repeat(10_000)));
      const [journal = ''] = journalsIn(dir);
      assert.equal(readFileSync(journal).at(-1), 0x0a);
      assert.ok(freeIn(dir) > 100 * 1024, `${freeIn(dir)} bytes are left`);
      await store.close();
    });
  });

  it('gives up the journals of watches before a write is refused', async () => {
    await onDisk(16, async (dir) => {
      const store = await openIn(dir, { journalBytes: 2 * MIB });
      for (let i = 0; i < 8; i++) await store.mutate('n', put(`${i}`.repeat(700_000)));
      await store.rewrite();
      assert.ok(journalsIn(dir).length > 1, 'there are journals for watches');
      const watched = store.watch({ after: 1 });
      await watched.return?.();
      fill(dir, 100 * 1024);
      await store.mutate('n', put('z'.repeat(700_000)));
      const late = store.watch({ after: 1 });
      assert.equal((await late.next()).value?.type, 'reset');
      await late.return?.();
      await store.close();
    });
  });

  it('with the journals that the file makes needless is emptied by a rewriting in the room held in reserve', async () => {
    await onDisk(24, async (dir) => {
      const store = await openIn(dir, { journalBytes: 64 * MIB, historyBytes: 1 });
      for (let i = 0; i < 6; i++) await store.mutate('n', put(`${i}`.repeat(700_000)));
      const reserve = path.join(dir, 'bpbroker.json.reserve');
      await waitFor('room to be held', () => sizeOf(reserve) > MIB + 700_000);
      const filler = fill(dir, 50 * 1024);
      for (let i = 0; i < 6; i++) await store.mutate('n', put(`${i}`.repeat(700_000)));
      assert.equal(store.health().writable, true);
      rmSync(filler);
      await store.close();
      assert.deepEqual(
        readdirSync(dir).filter((name) => /reserve|tmp-/.test(name)),
        [],
      );
    });
  });

  it('keeps the reserve as large as a growing registry needs, while twice that is free', async () => {
    await onDisk(24, async (dir) => {
      const store = await openIn(dir, { journalBytes: 64 * MIB });
      const reserve = path.join(dir, 'bpbroker.json.reserve');
      // With n MiB of entries the journal takes n MiB as well: beside it, at least 2 * (n + 1) are left or held.
      for (let n = 1; n <= 7; n++) {
        for (const half of ['a', 'b']) await store.mutate(`${half}${n}`, put('x'.repeat(MIB / 2)));
        await waitFor(`room for ${n} MiB to be held`, () => sizeOf(reserve) >= (n + 1) * MIB);
      }
      await store.close();
    });
  });

  it('keeps the reserve where a rewriting would remove no journal', async () => {
    await onDisk(24, async (dir) => {
      const store = await openIn(dir, { historyBytes: 1, probeMs: 20 });
      const reserve = path.join(dir, 'bpbroker.json.reserve');
      for (let i = 0; i < 60; i++) await store.mutate('n', put(`${i % 10}`.repeat(20_000)));
      await waitFor('room to be held', () => sizeOf(reserve) > MIB);
      await store.rewrite();
      await waitFor('room to be held', () => sizeOf(reserve) > MIB);
      const filler = fill(dir, 10 * 1024);
      await assert.rejects(store.mutate('n', put('x'.repeat(20_000))), { code: 'storage_full' });
      assert.ok(sizeOf(reserve) > MIB);
      rmSync(filler);
      await waitFor('writes to be taken', () => store.health().writable);
      await store.close();
    });
  });

  it('takes the reserve back after a rewriting that failed, and is emptied by a later one', async () => {
    await onDisk(24, async (dir) => {
      let isFailing = false;
      const onStep = (step: string): void => {
        if (isFailing && step === 'file-write') throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
      };
      const store = await openIn(dir, { journalBytes: 64 * MIB, historyBytes: 1, probeMs: 20, onStep });
      const reserve = path.join(dir, 'bpbroker.json.reserve');
      for (let i = 0; i < 6; i++) await store.mutate('n', put(`${i}`.repeat(700_000)));
      await waitFor('room to be held', () => sizeOf(reserve) > MIB + 700_000);
      const filler = fill(dir, 50 * 1024);
      isFailing = true;
      await assert.rejects(store.mutate('n', put('x'.repeat(700_000))), { code: 'storage_full' });
      assert.ok(sizeOf(reserve) > MIB + 700_000);
      isFailing = false;
      await waitFor('writes to be taken', () => store.health().writable);
      await store.mutate('n', put('y'.repeat(700_000)));
      rmSync(filler);
      await store.close();
      const again = await openIn(dir);
      assert.equal((await again.get('n'))?.data['_str'], 'y'.repeat(700_000));
      await again.close();
    });
  });

  it('takes the reserve back after a rewriting during which writes came in', async () => {
    await onDisk(24, async (dir) => {
      let isWatched = false;
      let isRewritten = false;
      let meanwhile: Promise<unknown> = Promise.resolve();
      const onStep = (step: string): void => {
        if (!isWatched) return;
        if (step === 'file-write') meanwhile = store.mutate('small', put('x'));
        // Another program takes most of the room that the rewriting has freed.
        if (step === 'retired') fill(dir, 2 * MIB, 'other');
        isRewritten ||= step === 'retired';
      };
      const store = await openIn(dir, { journalBytes: 2 * MIB, historyBytes: 1, onStep });
      const reserve = path.join(dir, 'bpbroker.json.reserve');
      for (let round = 0; round < 3; round++) await store.mutate('n', put(`${round}`.repeat(MIB / 2)));
      await waitFor('room to be held', () => sizeOf(reserve) > MIB);
      fill(dir, 1.5 * MIB);
      isWatched = true;
      await store.mutate('n', put('3'.repeat(MIB / 2)));
      await waitFor('the rewriting', () => isRewritten);
      await meanwhile;
      await waitFor('room to be held again', () => sizeOf(reserve) > MIB);
      isWatched = false;
      await store.close();
    });
  });

  it('takes the reserve back after each rewriting that needed it, so that the next can use it', async () => {
    await onDisk(24, async (dir) => {
      const store = await openIn(dir, { journalBytes: 64 * MIB, historyBytes: 1 });
      const overwrite = async (round: number): Promise<void> => {
        await store.mutate(`n${round % 10}`, put(`${round % 10}`.repeat(MIB / 2)));
      };
      const reserve = path.join(dir, 'bpbroker.json.reserve');
      for (let round = 0; round < 10; round++) await overwrite(round);
      await store.rewrite();
      for (let round = 0; round < 4; round++) await overwrite(round);
      await waitFor('room to be held', () => sizeOf(reserve) > 6 * MIB);
      fill(dir, 50 * 1024);
      // More than the disk holds.
      for (let round = 0; round < 50; round++) await overwrite(round);
      assert.ok(sizeOf(reserve) > 6 * MIB);
      await store.close();
    });
  });
});
