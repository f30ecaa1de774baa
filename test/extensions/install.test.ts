import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { stageExtension } from '../../src/extensions/install.ts';
import { unsafePart } from '../../src/extensions/ownership.ts';
import { extensionDir } from '../support/registry/extensions.ts';
import { tempDir } from '../support/temp.ts';

const nothing = (): Promise<undefined> => Promise.resolve(undefined);

describe('stageExtension()', () => {
  it('puts a copy in place, and takes it back for what was there before', async () => {
    const dir = extensionDir({ 'old.mjs': 'old', 'pkg/a.mjs': 'old', 'pkg/gone.mjs': 'old' });
    const source = tempDir();
    mkdirSync(path.join(source, 'pkg'));
    for (const file of ['old.mjs', 'new.mjs', 'pkg/a.mjs']) writeFileSync(path.join(source, file), 'new');
    const text = (file: string): string | undefined =>
      existsSync(path.join(dir, file)) ? readFileSync(path.join(dir, file), 'utf8') : undefined;
    for (const [script, file, before] of [
      ['old.mjs', 'old.mjs', 'old'],
      ['new.mjs', 'new.mjs', undefined],
      ['pkg', 'pkg/a.mjs', 'old'],
    ] as const) {
      const { put, clean } = await stageExtension(dir, path.join(source, script), true, nothing);
      const beside = readdirSync(dir).find((name) => name.startsWith('.install-'));
      assert.equal(statSync(path.join(dir, beside ?? '')).mode & 0o777, 0o700);
      assert.equal(await unsafePart(dir), undefined);
      assert.equal(text(file), before, `${script} before`);
      const takeBack = await put();
      assert.equal(text(file), 'new', script);
      if (script === 'pkg') assert.equal(text('pkg/gone.mjs'), undefined);
      await takeBack();
      assert.equal(text(file), before, `${script} taken back`);
      await clean();
    }
    assert.deepEqual(readdirSync(dir), ['old.mjs', 'pkg']);
    assert.equal(text('pkg/gone.mjs'), 'old');
  });
});
