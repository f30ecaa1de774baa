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

  it("refuses the name of a built-in module and of a section: its key would be the broker's own", async () => {
    const dir = extensionDir({ 'old.mjs': 'old' });
    const source = tempDir();
    mkdirSync(path.join(source, '_pkg'));
    mkdirSync(path.join(source, 'services'));
    const taken = ['ping.mjs', 'services.mjs', 'api.mjs', 'discover.py', 'worker.js', '_pkg/a.mjs'];
    for (const file of [...taken, 'services/a.mjs']) writeFileSync(path.join(source, file), '');
    for (const file of taken) {
      const [script = ''] = file.split('/');
      const module = script === '_pkg' ? '_pkg.a' : path.parse(script).name;
      await assert.rejects(stageExtension(dir, path.join(source, script), true, nothing), {
        code: 'usage',
        message: `${path.join(source, script)}: '${module}' is a name of the broker's own; give it another one`,
      });
    }
    assert.deepEqual(readdirSync(dir), ['old.mjs']);
    // A folder of that name is no such module: its key is `services.a`.
    const { modules, clean } = await stageExtension(dir, path.join(source, 'services'), false, nothing);
    assert.deepEqual(modules, ['services.a']);
    await clean();
  });
});
