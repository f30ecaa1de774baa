import assert from 'node:assert/strict';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { buildExecutable } from '../../../build/executable.ts';
import { executableName, targets } from '../../../build/release/targets.ts';
import { run } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';

function entry(dir: string, code: string): string {
  const file = path.join(dir, 'entry.ts');
  writeFileSync(file, code);
  return file;
}

describe('buildExecutable()', () => {
  for (const bytecode of [true, false]) {
    it(`makes one file that runs by itself, ${bytecode ? 'with' : 'without'} bytecode`, async () => {
      const dir = tempDir();
      writeFileSync(path.join(dir, 'late.ts'), `export const late: string = 'late';`);
      const file = entry(dir, `const { late } = await import('./late.ts'); console.log('1.2.3', late);`);
      const outfile = path.join(dir, 'out', executableName('hello'));
      await buildExecutable({ entry: file, outfile, bytecode, version: '1.2.3' });
      assert.deepEqual(readdirSync(path.dirname(outfile)), [path.basename(outfile)]);
      assert.equal((await run([outfile])).stdout, '1.2.3 late\n');
      assert.ok(statSync(outfile).size < 150e6);
    });
  }

  const refused: Record<string, [string, RegExp]> = {
    'a program that does not start': [`throw new Error('broken at start');`, /broken at start/],
    'a program of another version': [
      `console.log('1.2.2');`,
      /printed "1\.2\.2\\n"; expected it to name 1\.2\.3/,
    ],
    'a program that does not compile': [`import './missing.ts';`, /missing\.ts/],
  };
  for (const [what, [code, message]] of Object.entries(refused)) {
    it(`refuses ${what} and leaves the former executable`, async () => {
      const dir = tempDir();
      const outfile = path.join(dir, 'out');
      writeFileSync(outfile, 'former');
      await assert.rejects(buildExecutable({ entry: entry(dir, code), outfile, version: '1.2.3' }), message);
      assert.equal(statSync(outfile).size, 6);
      assert.deepEqual(readdirSync(dir).toSorted(), ['entry.ts', 'out']);
    });
  }
});

describe('targets', () => {
  it('have names of their own and cover every platform on x64 and arm64', () => {
    assert.equal(new Set(targets.map(({ name }) => name)).size, targets.length);
    assert.equal(new Set(targets.map(({ bun }) => bun)).size, targets.length);
    for (const platform of ['linux', 'darwin', 'win32']) {
      for (const arch of ['x64', 'arm64']) {
        assert.ok(targets.some((target) => target.platform === platform && target.arch === arch));
      }
    }
  });

  it('add .exe on Windows alone', () => {
    assert.deepEqual([executableName('a', 'win32'), executableName('a', 'linux')], ['a.exe', 'a']);
  });
});
