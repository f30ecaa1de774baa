import assert from 'node:assert/strict';
import { mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { BrokerError } from '../../src/protocol/errors.ts';
import { describeError, reasonOf, systemCode } from '../../src/protocol/system-errors.ts';
import { tempDir } from '../support/temp.ts';

function errorOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

describe('errors of the system', () => {
  const dir = tempDir();
  const file = path.join(dir, 'file');
  writeFileSync(file, '');
  const loop = path.join(dir, 'loop');
  symlinkSync(loop, loop);
  const real: Readonly<Record<string, () => unknown>> = {
    ENOENT: () => readFileSync(path.join(dir, 'none')),
    ENOTDIR: () => readFileSync(path.join(file, 'x')),
    EISDIR: () => readFileSync(dir),
    ELOOP: () => readFileSync(loop),
    ENAMETOOLONG: () => readFileSync(path.join(dir, 'x'.repeat(300))),
    EEXIST: () => openSync(file, 'wx'),
    ENOSPC: () => writeFileSync('/dev/full', 'x'),
  };

  for (const [code, work] of Object.entries(real)) {
    it(
      `${code} as this runtime reports it is words, a remedy and the code`,
      { skip: process.platform === 'win32' },
      () => {
        const error = errorOf(work);
        assert.equal(systemCode(error), code);
        const told = new RegExp(`^[^:]+: .+ \\[${code}\\]$`);
        assert.match(reasonOf(error), told);
        assert.match(describeError(error), new RegExp(` \\[${code}\\]$`));
        assert.doesNotMatch(describeError(error), new RegExp(`^${code}|syscall|, open '`));
      },
    );
  }

  it('describeError() names what was done and the file; a caller may name a better remedy', () => {
    const error = errorOf(() => mkdirSync(path.join(dir, 'none', 'sub')));
    assert.equal(
      describeError(error),
      `Cannot make the folder ${path.join(dir, 'none', 'sub')}: there is no such file or folder: check the path [ENOENT]`,
    );
    assert.equal(
      reasonOf(error, { ENOENT: 'make it first' }),
      'there is no such file or folder: make it first [ENOENT]',
    );
  });

  it('leaves every other error its own message, on one line', () => {
    assert.equal(reasonOf(new Error('a\nb')), 'a b');
    assert.equal(reasonOf('text'), 'text');
    assert.equal(reasonOf(Object.assign(new Error('other'), { code: 'EODD' })), 'other');
    const cause = errorOf(() => readFileSync(dir));
    assert.equal(describeError(new BrokerError('usage', 'In words already', { cause })), 'In words already');
  });
});
