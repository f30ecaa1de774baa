import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { pack } from '../../build/archive.ts';
import { capture } from '../../build/process.ts';
import { tempDir } from '../support/temp.ts';

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

describe('pack()', () => {
  for (const [type, list] of Object.entries({ 'tar.gz': ['tar', 'tvzf'], zip: ['unzip', '-Z'] })) {
    it(`gives the same ${type} for the same contents, whatever their order, times and modes`, async () => {
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
});
