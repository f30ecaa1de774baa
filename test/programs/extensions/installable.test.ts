import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { cleanEnv, launchers, run, startBroker } from '../../support/programs/programs.ts';
import { bpbroker, skipOf } from '../support.ts';
import { home, install, posix } from './install-support.ts';

describe('what install-extension takes', () => {
  it('installs only what can be run here', { skip: posix }, async () => {
    const { dir, at, lib } = home({
      hostname: 'vm\n',
      'nowhere.sh': '#!/nowhere/sh\n',
      'bare.sh': '#!\n',
      'pkg/ok.mjs': '',
      'pkg/program': '\0\u0001\u0002\u0003',
      'good.sh': '#! /bin/sh -e\n',
    });
    for (const file of ['hostname', 'nowhere.sh', 'bare.sh', 'pkg/program', 'good.sh'])
      chmodSync(at(file), 0o755);
    for (const [script, problem] of [
      ['hostname', /hostname cannot be run: it is marked as a program, but begins neither with #! /],
      [
        'nowhere.sh',
        /nowhere\.sh cannot be run: its first line names the interpreter '\/nowhere\/sh', which does not exist/,
      ],
      ['bare.sh', /bare\.sh cannot be run: its first line names the interpreter '', which does not exist/],
      ['pkg', /pkg\/program cannot be run: it is marked as a program/],
    ] as const) {
      const { code, stdout, stderr } = await install(dir, at(script));
      assert.deepEqual([code, stdout], [2, ''], script);
      assert.match(stderr, problem);
    }
    assert.equal((await install(dir, at('good.sh'))).code, 0);
    copyFileSync('/bin/true', at('true'));
    assert.equal((await install(dir, at('true'))).code, 0);
    assert.deepEqual(readdirSync(lib), ['good.sh', 'true']);
  });

  for (const launcher of launchers) {
    it(`installs TypeScript where it runs, on ${launcher.name}`, { skip: skipOf(launcher) }, async () => {
      const { dir, at, lib } = home({ 'say.ts': `export const Say = (): string => 'typed';\n` });
      const command = [...launcher.bpbroker, 'install-extension', '--script', at('say.ts')];
      const { code, stderr } = await run(command, { env: cleanEnv(dir), cwd: dir });
      if (code === 0) {
        const broker = await startBroker(launcher, { dir, config: { say: {} } });
        const said = await broker.client(['execute', '--method', 'say.Say', '--quiet']);
        assert.equal(said.stdout, 'typed\n', said.stderr);
        await broker.kill();
      } else {
        assert.equal(code, 2);
        assert.match(
          stderr,
          /say\.ts cannot be run: this broker runs on Node 20\.\S+, which cannot run TypeScript/,
        );
        assert.ok(!existsSync(lib));
      }
    });
  }

  it('refuses what is no extension, and leaves nothing behind', async () => {
    const { dir, at, lib } = home({ 'notes.txt': '', 'empty/README.md': '', 'a.b.mjs': '', '-x.mjs': '' });
    const what = '[^\n]*: expected a \\.ts, \\.mts, \\.js, \\.mjs or \\.py file, or an executable one\n$';
    for (const [script, problem] of [
      ['notes.txt', '\\S+notes\\.txt is no extension'],
      ['a.b.mjs', '\\S+a\\.b\\.mjs is no extension'],
      ['-x.mjs', '\\S+-x\\.mjs is no extension'],
      ['empty', 'The folder \\S+empty holds no extension'],
    ] as const) {
      const { code, stdout, stderr } = await install(dir, at(script));
      assert.deepEqual([code, stdout], [2, ''], script);
      assert.match(stderr, new RegExp(`^Fatal error: ${problem}${what}`));
    }
    const missing = await install(dir, at('none.ts'));
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /^Fatal error: Cannot read --script \S+none\.ts: [^\n]*\[ENOENT\]\n$/);
    assert.equal((await bpbroker(dir, ['install-extension'])).code, 2);
    assert.deepEqual(existsSync(lib) ? readdirSync(lib) : [], []);
  });

  it('refuses a folder whose modules nobody could call, and prints no key for them', async () => {
    const { dir, at, lib } = home({
      'my pkg/say.mjs': '',
      'a.b/say.mjs': '',
      '-pkg/say.mjs': '',
      'twice/other.mjs': '',
      'twice/say.mjs': '',
      'twice/say.py': '',
    });
    const noCall =
      /^Fatal error: Nobody could call an extension in the folder \S*(?:my pkg|a\.b|-pkg): expected /;
    for (const [script, problem] of [
      ['my pkg', noCall],
      ['a.b', noCall],
      ['-pkg', noCall],
      ['twice', /^Fatal error: The folder \S+twice has both say\.mjs and say\.py; remove one\n$/],
    ] as const) {
      for (const more of [[], ['--enable']]) {
        const { code, stdout, stderr } = await install(dir, at(script), ...more);
        assert.deepEqual([code, stdout], [2, ''], script);
        assert.match(stderr, problem);
      }
    }
    assert.ok(!existsSync(lib));
  });
});
