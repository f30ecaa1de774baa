import assert from 'node:assert/strict';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { buildAndStamp, unlessFresh } from '../../build/stamp.ts';
import { tempDir } from '../support/temp.ts';

describe('unlessFresh()', () => {
  let dir = '';
  const source = (name: string): string => path.join(dir, 'src', name);
  const build = async (): Promise<void> => writeFileSync(path.join(dir, 'out'), 'built');
  const again = (step = build): Promise<boolean> =>
    unlessFresh('it', { inputs: ['src', 'absent'], outputs: ['out'] }, step, dir);

  beforeEach(async () => {
    dir = tempDir();
    mkdirSync(path.join(dir, 'src'));
    writeFileSync(source('a.ts'), 'a');
    writeFileSync(source('b.ts'), 'b');
    assert.equal(await again(), true);
    assert.equal(await again(), false);
  });

  const changes: Record<string, () => void> = {
    'a changed input': () => writeFileSync(source('a.ts'), 'A'),
    'a new input': () => writeFileSync(source('c.ts'), ''),
    'an input that went': () => rmSync(source('b.ts')),
    'bytes that moved from one input to the next': () => {
      writeFileSync(source('a.ts'), 'ab');
      writeFileSync(source('b.ts'), '');
    },
    'an output that went': () => rmSync(path.join(dir, 'out')),
  };
  for (const [what, change] of Object.entries(changes)) {
    it(`builds after ${what}`, async () => {
      change();
      assert.equal(await again(), true);
      assert.equal(await again(), false);
    });
  }

  it('does not build for a new time stamp alone', async () => {
    utimesSync(source('a.ts'), new Date(), new Date());
    assert.equal(await again(), false);
  });

  it('builds again for the inputs of before, once others were built in any case', async () => {
    writeFileSync(source('a.ts'), 'A');
    await buildAndStamp('it', ['src', 'absent'], build, dir);
    assert.equal(await again(), false);
    writeFileSync(source('a.ts'), 'a');
    assert.equal(await again(), true);
  });

  it('builds again after a build that failed', async () => {
    writeFileSync(source('a.ts'), 'A');
    await assert.rejects(again(() => Promise.reject(new Error('broken'))));
    assert.equal(await again(), true);
  });
});
