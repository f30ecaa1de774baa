import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { cleanEnv, run, startBroker } from '../../support/programs/programs.ts';
import { reference } from '../support.ts';
import { answer, home, install, posix } from './install-support.ts';

type Document = Record<string, Record<string, unknown>>;
const read = (file: string): Document => JSON.parse(readFileSync(file, 'utf8')) as Document;
const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);

describe('install-extension', () => {
  it('copies a file, and says what to put into the configuration', async () => {
    const { dir, at, lib } = home({ 'say.mjs': answer('one') });
    const { code, stdout, stderr } = await install(dir, at('say.mjs'));
    assert.equal(code, 0, stderr);
    const key = /"say": \{"_access_key": "([0-9a-f]{64})"\}/.exec(stdout)?.[1];
    assert.equal(stdout, `installed ${path.join(lib, 'say.mjs')}\n"say": {"_access_key": "${key}"}\n`);
    assert.match(
      stderr,
      /^To enable it, put this into \S+bpbroker\.json, then start or reload the broker:\n$/,
    );
    assert.equal(readFileSync(path.join(lib, 'say.mjs'), 'utf8'), answer('one'));
    assert.ok(!existsSync(path.join(dir, 'bpbroker', 'etc')), 'nothing is enabled unasked');
    assert.notEqual(key, /"([0-9a-f]{64})"/.exec((await install(dir, at('say.mjs'), '--force')).stdout)?.[1]);
  });

  it('copies over what is there with --force alone, and a running broker answers with the new one', async () => {
    const { dir, at, lib } = home({ 'say.mjs': answer('one') });
    assert.equal((await install(dir, at('say.mjs'))).code, 0);
    const broker = await startBroker(reference, { dir, config: { say: {} } });
    const say = () => broker.client(['execute', '--method', 'say.Say', '--quiet']);
    assert.equal((await say()).stdout, 'one\n');
    writeFileSync(at('say.mjs'), answer('two'));
    const { code, stdout, stderr } = await install(dir, at('say.mjs'));
    assert.deepEqual(
      [code, stdout, stderr],
      [4, '', `Fatal error: ${path.join(lib, 'say.mjs')} already exists; overwrite it with --force\n`],
    );
    assert.equal((await say()).stdout, 'one\n');
    assert.equal((await install(dir, at('say.mjs'), '--force')).code, 0);
    assert.equal((await say()).stdout, 'two\n');
    assert.deepEqual(readdirSync(lib), ['say.mjs']);
    await broker.kill();
  });

  it('copies a folder whole, each of its extensions a module of its own', async () => {
    const { dir, at, lib } = home({
      'pkg/a.mjs': `import { text } from './parts/text.mjs';\nexport const Say = () => text;\n`,
      'pkg/parts/text.mjs': `export const text = 'from a part';\n`,
      'pkg/b.py': 'def Say(rh):\n    rh.data = 1\n',
      'pkg/a.test.mjs': '',
      'pkg/README.md': '',
    });
    const { code, stdout, stderr } = await install(dir, at('pkg'), '--enable');
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /^installed \S+\nenabled pkg\.a, access key [0-9a-f]{64}\nenabled pkg\.b, access key [0-9a-f]{64}\n$/,
    );
    const key = /pkg\.a, access key (\S+)/.exec(stdout)?.[1] ?? '';
    const configFile = path.join(dir, 'bpbroker', 'etc', 'bpbroker.json');
    const broker = await startBroker(reference, { dir, config: { ...read(configFile), api: {} } });
    const said = await broker.client(['-a', key, 'execute', '--method', 'pkg.a.Say', '--quiet']);
    assert.equal(said.stdout, 'from a part\n', said.stderr);
    await broker.kill();
    // A new version of the folder leaves nothing of the former one behind.
    const smaller = home({ 'pkg/a.mjs': answer('small') });
    assert.equal((await install(dir, smaller.at('pkg'), '--force')).code, 0);
    assert.deepEqual(readdirSync(path.join(lib, 'pkg')), ['a.mjs']);
    assert.deepEqual(readdirSync(lib), ['pkg']);
  });

  it('enables with a key that calls then need; an existing one is kept', async () => {
    const { dir, at } = home({ 'say.mjs': answer('one') });
    const file = path.join(dir, 'bpbroker.json');
    writeFileSync(file, JSON.stringify({ api: { listen_port: 0 } }));
    const { code, stdout, stderr } = await install(dir, at('say.mjs'), '--enable', '--config', file);
    assert.equal(code, 0, stderr);
    const key = /^enabled say, access key ([0-9a-f]{64})$/m.exec(stdout)?.[1] ?? '';
    assert.deepEqual(read(file)['say'], { _access_key: key });
    const broker = await startBroker(reference, { dir });
    const say = ['execute', '--method', 'say.Say', '--quiet'];
    assert.equal((await broker.client(say)).code, 5);
    assert.equal((await broker.client(['-a', key, ...say])).stdout, 'one\n');
    await broker.stop();
    const again = await install(dir, at('say.mjs'), '--enable', '--force', '--config', file);
    assert.deepEqual(
      [again.code, again.stderr],
      [0, 'say is enabled already; its access key is unchanged\n'],
    );
    assert.ok(!again.stdout.includes('enabled'));
    assert.deepEqual(read(file)['say'], { _access_key: key });
  });

  it('puts nothing in place, and enables nothing, while a broker runs on that configuration', async () => {
    const { dir, at, lib } = home({ 'say.mjs': answer('one'), 'pkg/say.mjs': answer('two') });
    const broker = await startBroker(reference, { dir });
    const enable = (script: string, ...more: string[]) =>
      install(dir, at(script), '--enable', '--config', broker.configFile, ...more);
    for (const script of ['say.mjs', 'pkg']) {
      const { code, stdout, stderr } = await enable(script);
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(
        stderr,
        new RegExp(`^Fatal error: Nothing was installed: Another broker \\(pid ${broker.pid}\\) [^\n]*\n$`),
      );
      assert.deepEqual(readdirSync(lib), []);
    }
    assert.equal((await install(dir, at('say.mjs'))).code, 0);
    writeFileSync(at('say.mjs'), answer('another'));
    assert.equal((await enable('say.mjs', '--force')).code, 1);
    assert.deepEqual(readdirSync(lib), ['say.mjs']);
    assert.equal(readFileSync(path.join(lib, 'say.mjs'), 'utf8'), answer('one'), 'the former one is left');
    await broker.stop();
    assert.equal(read(broker.configFile)['say'], undefined);
    // The same command again, now that it can.
    const again = await enable('pkg');
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /\nenabled pkg\.say, access key [0-9a-f]{64}\n$/);
    assert.deepEqual(readdirSync(lib), ['pkg', 'say.mjs']);
  });

  it('takes back what it has put in place when it cannot be enabled after all', async () => {
    const { dir, at, lib } = home({ 'say.mjs': answer('one'), 'pkg/say.mjs': answer('old') });
    const file = path.join(dir, 'bpbroker.json');
    assert.equal((await install(dir, at('pkg'))).code, 0);
    writeFileSync(at('pkg/say.mjs'), answer('new'));
    // Written under that name first, the configuration cannot be.
    writeFileSync(file, JSON.stringify({ api: { listen_port: 0 }, say: 'no object' }));
    for (const [script, ...more] of [['say.mjs'], ['pkg', '--force']] as const) {
      writeFileSync(file, script === 'pkg' ? '{ "broken' : JSON.stringify({ say: 'no object' }));
      const { code, stdout, stderr } = await install(dir, at(script), '--enable', '--config', file, ...more);
      assert.notEqual(code, 0);
      assert.deepEqual(
        [stdout, stderr.startsWith('Fatal error: Nothing was installed: ')],
        ['', true],
        stderr,
      );
    }
    assert.deepEqual(readdirSync(lib), ['pkg']);
    assert.equal(readFileSync(path.join(lib, 'pkg', 'say.mjs'), 'utf8'), answer('old'));
  });

  it("puts no key on a part of the broker for an extension of that part's name", async () => {
    const { dir, at, lib } = home({ 'services.mjs': answer('one'), 'discover.mjs': answer('one') });
    for (const script of ['services.mjs', 'discover.mjs']) {
      const { code, stdout, stderr } = await install(dir, at(script), '--enable');
      assert.deepEqual([code, stdout], [2, ''], script);
      assert.match(
        stderr,
        /^Fatal error: \S+: '[a-z]+' is a name of the broker's own; give it another one\n$/,
      );
    }
    assert.ok(!existsSync(lib));
    assert.ok(!existsSync(path.join(dir, 'bpbroker', 'etc')), 'the configuration is as it was');
  });

  it('leaves nothing beside the extension when its reader has closed', { skip: posix }, async () => {
    const { dir, at, lib } = home({ 'say.mjs': answer('one') });
    // By then the other end of the pipe is gone.
    const closed = '{ sleep 0.3; "$@"; } | true';
    for (const more of [[], ['--force', '--enable']]) {
      const installing = [...reference.bpbroker, 'install-extension', '--script', at('say.mjs'), ...more];
      await run(['sh', '-c', closed, 'sh', ...installing], { env: cleanEnv(dir), cwd: dir });
      assert.deepEqual(readdirSync(lib), ['say.mjs']);
    }
    const configFile = path.join(dir, 'bpbroker', 'etc', 'bpbroker.json');
    assert.match(String(read(configFile)['say']?.['_access_key']), /^[0-9a-f]{64}$/);
  });

  it('prints no key for a module that has one', async () => {
    const { dir, at } = home({ 'say.mjs': answer('one'), 'pkg/a.mjs': '', 'pkg/b.mjs': '', 'pkg/c.mjs': '' });
    const file = path.join(dir, 'bpbroker.json');
    writeFileSync(
      file,
      JSON.stringify({ say: { _access_key: 'k' }, 'pkg.a': {}, 'pkg.b': { _access_key: ['k'] } }),
    );
    const say = await install(dir, at('say.mjs'), '--config', file);
    assert.deepEqual([say.code, say.stderr], [0, 'say is enabled already; its access key is unchanged\n']);
    assert.match(say.stdout, /^installed \S+\n$/);
    const pkg = await install(dir, at('pkg'), '--config', file);
    assert.match(pkg.stdout, /^installed \S+\n"pkg\.c": \{"_access_key": "[0-9a-f]{64}"\}\n$/);
    assert.match(
      pkg.stderr,
      /^pkg\.a is enabled already, without an access key\npkg\.b is enabled already; its access key is unchanged\nTo enable it, /,
    );
  });

  it('refuses a module that is there under another ending, also with --force', async () => {
    const { dir, at, lib } = home({ 'say.mjs': answer('one'), 'say.py': 'def Say(rh):\n    rh.data = 1\n' });
    assert.equal((await install(dir, at('say.mjs'))).code, 0);
    for (const more of [[], ['--force']]) {
      const { code, stdout, stderr } = await install(dir, at('say.py'), ...more);
      assert.deepEqual(
        [code, stdout, stderr],
        [
          4,
          '',
          `Fatal error: Module 'say' already exists as ${path.join(lib, 'say.mjs')}; remove that first\n`,
        ],
      );
    }
    assert.deepEqual(readdirSync(lib), ['say.mjs']);
  });

  it(
    'takes from the copies what would let others write them, and follows links',
    { skip: posix },
    async () => {
      const { dir, at, lib } = home({
        'pkg/say.sh': '#!/bin/sh\necho "from $1"\n',
        'elsewhere.mjs': answer('linked'),
      });
      chmodSync(at('pkg/say.sh'), 0o777);
      chmodSync(at('pkg'), 0o777);
      symlinkSync(at('elsewhere.mjs'), at('pkg/linked.mjs'));
      assert.equal((await install(dir, at('pkg'))).code, 0);
      assert.deepEqual(
        ['pkg', 'pkg/say.sh', 'pkg/linked.mjs'].map((file) => mode(path.join(lib, file))),
        ['755', '755', '644'],
      );
      const broker = await startBroker(reference, { dir, config: { 'pkg.say': {}, 'pkg.linked': {} } });
      const say = (module: string) => broker.client(['execute', '--method', `${module}.Say`, '--quiet']);
      assert.equal((await say('pkg.say')).stdout, 'from Say\n');
      assert.equal((await say('pkg.linked')).stdout, 'linked\n');
      // Put there by hand as it was in the checkout, it would not have been run.
      chmodSync(path.join(lib, 'pkg', 'say.sh'), 0o777);
      const { code, stderr } = await say('pkg.say');
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^Fatal error: Extension 'pkg\.say' is not run: pkg\/say\.sh can be written by others \(mode 777\)/,
      );
      await broker.kill();
    },
  );
});
