import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { unsafePart } from '../../src/extensions/ownership.ts';
import { extensionDir } from '../support/registry/extensions.ts';
import { tempDir } from '../support/temp.ts';

const posix = process.platform === 'win32' && 'modes and owners are POSIX';

describe('unsafePart(), row "what an extension loads"', { skip: posix }, () => {
  it('finds nothing in what only its owner may write, whatever there is', async () => {
    const dir = extensionDir({ 'a.py': '', 'pkg/b.py': '', '__pycache__/a.pyc': '', 'c/d/e/f.mjs': '' });
    symlinkSync(path.join(dir, 'pkg'), path.join(dir, 'c', 'circle'));
    symlinkSync(dir, path.join(dir, 'c', 'd', 'up'));
    symlinkSync('/nowhere', path.join(dir, 'lost'));
    symlinkSync('/bin/sh', path.join(dir, 'out'));
    assert.equal(await unsafePart(dir), undefined);
    assert.equal(await unsafePart(path.join(dir, 'none')), undefined);
  });

  for (const [file, mode] of [
    ['helper.py', 0o666],
    ['pkg/deep/part.mjs', 0o664],
    ['pkg/deep', 0o777],
    ['pkg/__pycache__', 0o1777],
    ['.hidden', 0o620],
    ['README.md', 0o602],
  ] as const) {
    it(`finds ${file} with mode ${mode.toString(8)}`, async () => {
      const dir = extensionDir({
        'helper.py': '',
        'pkg/deep/part.mjs': '',
        'pkg/__pycache__/a.pyc': '',
        '.hidden': '',
        'README.md': '',
      });
      assert.equal(await unsafePart(dir), undefined);
      chmodSync(path.join(dir, file), mode);
      assert.match(
        (await unsafePart(dir)) ?? '',
        new RegExp(`^${file}, which it may load, can be written by others`),
      );
    });
  }

  it('finds what a link leads to, and a folder on the way there', async () => {
    const dir = extensionDir({ 'a.mjs': '' });
    const outside = tempDir();
    mkdirSync(path.join(outside, 'open'));
    const helper = path.join(outside, 'open', 'helper.mjs');
    writeFileSync(helper, '', { mode: 0o644 });
    symlinkSync(helper, path.join(dir, 'helper.mjs'));
    assert.equal(await unsafePart(dir), undefined);
    chmodSync(path.join(outside, 'open'), 0o777);
    assert.match(
      (await unsafePart(dir)) ?? '',
      /^helper\.mjs, which it may load, leads to \S+: \S+open can be written by others/,
    );
    chmodSync(path.join(outside, 'open'), 0o755);
    chmodSync(helper, 0o666);
    assert.match(
      (await unsafePart(dir)) ?? '',
      /^helper\.mjs, which it may load, can be written by others \(mode 666\)/,
    );
  });

  const root = process.getuid?.() === 0 ? false : 'giving files away needs root';
  it(
    'finds what belongs to another user, and packages that he has put above it',
    { skip: root },
    async () => {
      const dir = extensionDir({ 'a.mjs': '', 'b.mjs': '' });
      chownSync(path.join(dir, 'b.mjs'), 12_345, 12_345);
      assert.match(
        (await unsafePart(dir)) ?? '',
        /^b\.mjs, which it may load, belongs to another user \(uid 12345\)/,
      );
      chownSync(path.join(dir, 'b.mjs'), 0, 0);
      for (const name of ['node_modules', 'package.json', 'tsconfig.json', 'jsconfig.json']) {
        const above = path.join(path.dirname(dir), name);
        if (name === 'node_modules') mkdirSync(above);
        else writeFileSync(above, '{}');
        assert.equal(await unsafePart(dir), undefined, name);
        chownSync(above, 12_345, 12_345);
        const reason = `${name}, which it may load, belongs to another user`;
        assert.ok((await unsafePart(dir))?.includes(reason), name);
        chownSync(above, 0, 0);
      }
    },
  );
});
