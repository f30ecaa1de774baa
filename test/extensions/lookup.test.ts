import assert from 'node:assert/strict';
import { chmodSync, chownSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { findExtension, versionOf } from '../../src/extensions/lookup.ts';
import { extensionDir } from '../support/registry/extensions.ts';
import { tempDir } from '../support/temp.ts';

const windows = process.platform === 'win32';
const posixOnly = windows ? 'modes and owners are POSIX' : false;

async function kinds(dir: string, ...names: string[]): Promise<(string | undefined)[]> {
  const found = await Promise.all(names.map((name) => findExtension(dir, name)));
  return found.map((extension) => extension && `${extension.kind} ${path.relative(dir, extension.file)}`);
}

describe('findExtension(), row "extensions"', () => {
  it('knows scripts and Python modules by their endings', async () => {
    const dir = extensionDir({ 'a.ts': '', 'b.mts': '', 'c.js': '', 'd.mjs': '', 'e.py': '' });
    assert.deepEqual(await kinds(dir, 'a', 'b', 'c', 'd', 'e'), [
      'script a.ts',
      'script b.mts',
      'script c.js',
      'script d.mjs',
      'python e.py',
    ]);
  });

  it('takes any other file that is executable', { skip: posixOnly }, async () => {
    const dir = extensionDir({
      bare: '#!/bin/sh\n',
      'shell.sh': '#!/bin/sh\n',
      'plain.sh': 'echo',
      'notes.md': '',
    });
    assert.deepEqual(await kinds(dir, 'bare', 'shell', 'plain', 'notes'), [
      'executable bare',
      'executable shell.sh',
      undefined,
      undefined,
    ]);
  });

  it('finds pkg.mod in the folder pkg, and nothing that a longer name would hide', async () => {
    const dir = extensionDir({ 'pkg/mod.ts': '', 'echo.test.ts': '' });
    assert.deepEqual(await kinds(dir, 'pkg.mod', 'pkg', 'mod', 'echo', 'echo.test'), [
      `script ${path.join('pkg', 'mod.ts')}`,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('does not take a file that cannot be looked at for none', { skip: posixOnly }, async () => {
    const dir = extensionDir({ 'a.ts': '', 'b.ts': '' });
    symlinkSync('circle.py', path.join(dir, 'circle.py'));
    symlinkSync('circle.py', path.join(dir, 'b.py'));
    for (const name of ['circle', 'b'])
      await assert.rejects(findExtension(dir, name), {
        code: 'extension_failed',
        message: new RegExp(`'${name}' is not run: its files cannot be looked at: .*\\[ELOOP\\]`),
      });
    // Others do not suffer from it.
    symlinkSync('nowhere.py', path.join(dir, 'lost.py'));
    assert.deepEqual(await kinds(dir, 'a', 'lost'), ['script a.ts', undefined]);
  });

  it('finds nothing where there is no directory, and for names that are no module names', async () => {
    assert.equal(await findExtension(path.join(tempDir(), 'none'), 'a'), undefined);
    const dir = extensionDir({ 'a.ts': '' });
    for (const name of ['', '.', '..', '../a', '/a', 'a/', 'a..b', '.a', 'a\0', 'a b', '-a']) {
      assert.equal(await findExtension(dir, name), undefined, JSON.stringify(name));
    }
  });

  it('refuses to choose between two files of one name', async () => {
    const dir = extensionDir({ 'a.py': '', 'a.ts': '' });
    await assert.rejects(findExtension(dir, 'a'), {
      code: 'extension_failed',
      message: "Extension 'a' is not run: there are both a.py and a.ts; remove one",
    });
  });

  for (const [what, mode] of [
    ['its group', 0o664],
    ['everyone', 0o646],
  ] as const) {
    it(`refuses a file that ${what} can write`, { skip: posixOnly }, async () => {
      const dir = extensionDir({ 'a.ts': '' });
      chmodSync(path.join(dir, 'a.ts'), mode);
      const bits = mode.toString(8);
      await assert.rejects(findExtension(dir, 'a'), {
        code: 'extension_failed',
        message: `Extension 'a' is not run: a.ts can be written by others (mode ${bits}); take that away with chmod go-w`,
      });
    });
  }

  it(
    'refuses a folder on the way, and the extension directory itself, that others can write',
    { skip: posixOnly },
    async () => {
      const dir = extensionDir({ 'pkg/mod.ts': '' });
      chmodSync(path.join(dir, 'pkg'), 0o775);
      await assert.rejects(
        findExtension(dir, 'pkg.mod'),
        /is not run: pkg can be written by others \(mode 775\)/,
      );
      chmodSync(path.join(dir, 'pkg'), 0o755);
      chmodSync(dir, 0o777);
      await assert.rejects(
        findExtension(dir, 'pkg.mod'),
        /the extension directory can be written by others \(mode 777\)/,
      );
    },
  );

  it(
    'refuses what belongs to another user',
    { skip: posixOnly || (process.getuid?.() === 0 ? false : 'giving files away needs root') },
    async () => {
      const dir = extensionDir({ 'a.ts': '' });
      chownSync(path.join(dir, 'a.ts'), 12_345, 12_345);
      await assert.rejects(findExtension(dir, 'a'), /a\.ts belongs to another user \(uid 12345\)/);
    },
  );

  it(
    'follows links within the directory, and refuses those that lead out of it',
    { skip: posixOnly },
    async () => {
      const dir = extensionDir({ 'real/impl.ts': '' });
      const outside = path.join(tempDir(), 'evil.ts');
      writeFileSync(outside, '');
      symlinkSync(path.join(dir, 'real', 'impl.ts'), path.join(dir, 'good.ts'));
      symlinkSync(outside, path.join(dir, 'bad.ts'));
      symlinkSync(path.dirname(outside), path.join(dir, 'pkg'));
      assert.deepEqual(await kinds(dir, 'good'), [`script ${path.join('real', 'impl.ts')}`]);
      for (const name of ['bad', 'pkg.evil']) {
        await assert.rejects(
          findExtension(dir, name),
          /it is a link that leads out of the extension directory/,
        );
      }
    },
  );

  it('tells one version of a file from the next', async () => {
    const dir = extensionDir({ 'a.ts': '1' });
    const file = path.join(dir, 'a.ts');
    const first = (await findExtension(dir, 'a'))?.version;
    assert.equal(await versionOf(file), first);
    utimesSync(file, 1, 1);
    assert.notEqual(await versionOf(file), first);
    rmSync(file);
    await assert.rejects(versionOf(file));
  });
});
