import assert from 'node:assert/strict';
import { chmodSync, linkSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { describe, it } from 'node:test';
import { pack } from '../../../build/release/archive.ts';
import { capture } from '../../../build/process.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';

const skip = lacking('tar', 'libdeflate-gzip', 'gzip', 'unzip');

const time = Date.UTC(2026, 0, 31, 12) / 1000;

/** A folder with the same contents each time, and everything else of its own. */
function folder(order: readonly string[], mode: number): string {
  const dir = path.join(tempDir(), 'it-1.0.0');
  mkdirSync(dir);
  for (const name of order) {
    const file = path.join(dir, name);
    writeFileSync(file, `contents of ${name}`, { mode });
    chmodSync(file, mode);
    utimesSync(file, 1000 + mode, 1000 + mode);
  }
  return dir;
}

describe('pack()', { skip }, () => {
  for (const [type, list] of Object.entries({ 'tar.gz': ['tar', 'tvzf'], zip: ['unzip', '-Z'] })) {
    it(`makes the same ${type} for the same contents, whatever their order, times and modes`, async () => {
      const archives: string[] = [];
      for (const dir of [folder(['prog', 'a.txt', 'B'], 0o600), folder(['B', 'a.txt', 'prog'], 0o777)]) {
        const archive = path.join(path.dirname(dir), `it.${type}`);
        await pack(archive, dir, { time, programs: ['prog'] });
        archives.push(archive);
      }
      const [one = '', other = ''] = archives;
      assert.ok(readFileSync(one).equals(readFileSync(other)));
      const listed = await capture([...list, one], { env: { ...process.env, TZ: 'UTC' } });
      assert.match(listed, /-rwxr-xr-x.* it-1\.0\.0\/prog$/m);
      assert.match(listed, /-rw-r--r--.*(?:2026-01-31|26-Jan-31) 12:00 it-1\.0\.0\/a\.txt$/m);
    });
  }

  it('stores a file with two names once, and tar unpacks it as one', async () => {
    const dir = folder(['prog', 'a.txt'], 0o755);
    const content = randomBytes(1e6);
    writeFileSync(path.join(dir, 'prog'), content);
    linkSync(path.join(dir, 'prog'), path.join(dir, 'second'));
    const archive = path.join(path.dirname(dir), 'it.tar.gz');
    await pack(archive, dir, { time, programs: ['prog', 'second'] });
    assert.ok(statSync(archive).size < 1.01e6);
    assert.match(
      await capture(['tar', 'tvzf', archive]),
      /^h\S+ .* it-1\.0\.0\/second link to it-1\.0\.0\/prog$/m,
    );
    const unpacked = tempDir();
    for (const tar of [['tar'], ['busybox', 'tar']]) {
      await capture([...tar, '-xzf', archive, '-C', unpacked]);
      const [one, other] = ['prog', 'second'].map((name) => path.join(unpacked, 'it-1.0.0', name));
      assert.equal(statSync(one ?? '').ino, statSync(other ?? '').ino);
      assert.ok(readFileSync(other ?? '').equals(content));
    }
  });

  it('makes a zip that unzip and Python read, with each byte in its place', async () => {
    const dir = folder(['prog', 'empty', 'ü.txt'], 0o644);
    const content = Buffer.concat([randomBytes(300_000), Buffer.alloc(700_000)]);
    writeFileSync(path.join(dir, 'prog'), content);
    writeFileSync(path.join(dir, 'empty'), '');
    const archive = path.join(path.dirname(dir), 'it.zip');
    await pack(archive, dir, { time, programs: ['prog'] });
    assert.ok(statSync(archive).size < 310_000);
    assert.match(await capture(['unzip', '-t', archive]), /^No errors detected/m);
    const read = `import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z:
    assert z.testzip() is None
    print(sorted((i.filename, i.file_size, i.compress_type, i.date_time, oct(i.external_attr >> 16)) for i in z.infolist()))
    z.extractall(sys.argv[2])`;
    const unpacked = tempDir();
    const entry = (name: string, size: number, mode: string): string =>
      `('it-1.0.0/${name}', ${size}, 8, (2026, 1, 31, 12, 0, 0), '0o100${mode}')`;
    assert.equal(
      await capture(['python3', '-c', read, archive, unpacked]),
      `[${entry('empty', 0, '644')}, ${entry('prog', 1_000_000, '755')}, ${entry('ü.txt', 18, '644')}]\n`,
    );
    assert.ok(readFileSync(path.join(unpacked, 'it-1.0.0', 'prog')).equals(content));
  });
});
