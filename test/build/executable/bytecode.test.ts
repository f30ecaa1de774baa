import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { chunksOfOthers, dropBytecode } from '../../../build/executable/bytecode.ts';
import { buildExecutable } from '../../../build/executable.ts';
import { executableName } from '../../../build/release/targets.ts';
import { run } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';

describe('chunksOfOthers()', () => {
  it('names what is reached by the import()s of the one file alone', () => {
    const dynamic = (file: string): object => ({
      path: `./x-${file}.js`,
      kind: 'dynamic-import',
      entryPoint: file,
    });
    const still = (file: string): object => ({ path: file, kind: 'import-statement' });
    const imports: Record<string, object[]> = {
      'entry.ts': [still('lazy.ts'), still('eager.ts'), still('node:fs')],
      'lazy.ts': [dynamic('own.ts'), dynamic('both.ts'), still('table.ts')],
      'eager.ts': [dynamic('both.ts'), dynamic('late.ts')],
      'own.ts': [still('deep.ts'), still('shared.ts')],
      'both.ts': [],
      'late.ts': [still('shared.ts')],
    };
    for (const file of ['table.ts', 'deep.ts', 'shared.ts', 'host.py']) imports[file] = [];
    const inputs = Object.fromEntries(
      Object.entries(imports).map(([file, list]) => [file, { imports: list }]),
    );
    const outputs = Object.fromEntries(
      Object.keys(inputs).map((file) => [`./chunk-${file}`, { inputs: { [file]: {} } }]),
    );
    const metafile = { inputs, outputs: { ...outputs, './empty.js': { inputs: {} } } } as Parameters<
      typeof chunksOfOthers
    >[0];
    assert.deepEqual(chunksOfOthers(metafile, 'entry.ts', 'lazy.ts'), ['chunk-own.ts', 'chunk-deep.ts']);
  });
});

describe('buildExecutable() without the bytecode of a part', () => {
  const dir = tempDir();
  // Of one name, which is in them.
  const outfile = path.join(dir, 'lean', executableName('program'));
  const whole = path.join(dir, 'whole', executableName('program'));
  /** Enough of it to tell: each function does something else. */
  const functions = (name: string): string =>
    Array.from(
      { length: 300 },
      (_, i) =>
        `export function ${name}${i}(a: number): number { return a > ${i} ? a * ${i} - ${name}At(a, ${i}) : ${i * 7}; }`,
    ).join('\n');
  const source = (name: string): string =>
    `const ${name}At = (a: number, b: number): number => a ** b;\n${functions(name)}\nexport const run = (): string => '${name} ' + ${name}7(9);\n`;

  before(async () => {
    const entry = path.join(dir, 'entry.ts');
    const lazy = path.join(dir, 'lazy.ts');
    writeFileSync(path.join(dir, 'one.ts'), source('one'));
    writeFileSync(path.join(dir, 'other.ts'), source('other'));
    writeFileSync(lazy, `export const load = () => import('./one.ts');`);
    writeFileSync(
      entry,
      `import { load } from './lazy.ts'; console.log('1.2.3', (await load()).run(), (await import('./other.ts')).run());`,
    );
    await buildExecutable({ entry, outfile: whole });
    await buildExecutable({ entry, outfile, withoutBytecode: lazy, version: '1.2.3' });
  });

  it('runs all of it all the same', async () => {
    for (const file of [outfile, whole])
      assert.equal((await run([file])).stdout, `1.2.3 one ${9 * 7 - 9 ** 7} other ${9 * 7 - 9 ** 7}\n`);
  });

  it('has zeros in place of that bytecode, and all else in its place', () => {
    const [lean, full] = [readFileSync(outfile), readFileSync(whole)];
    assert.equal(lean.length, full.length);
    let changed = 0;
    for (let i = 0; i < full.length; i++) {
      if (lean[i] === full[i]) continue;
      changed++;
      assert.equal(lean[i], 0);
    }
    assert.ok(changed > 10_000, `${changed} bytes differ`);
    const end = full.length - 1_000_000;
    assert.ok(gzipSync(lean.subarray(end)).length < gzipSync(full.subarray(end)).length);
  });

  it('refuses a file in which a chunk is not found, and leaves it as it is', () => {
    const copy = path.join(dir, 'copy');
    copyFileSync(whole, copy);
    const text = path.join(dir, 'text');
    writeFileSync(text, 'no executable');
    for (const file of [copy, text]) {
      const original = readFileSync(file);
      assert.throws(
        () => dropBytecode(file, ['none.js']),
        /has no bytecode of none\.js; does this Bun use another layout/,
      );
      assert.ok(readFileSync(file).equals(original));
    }
  });
});
