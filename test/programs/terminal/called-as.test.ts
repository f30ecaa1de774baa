import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, realpathSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { calledAs } from '../../../src/cli/programs/called-as.ts';
import { cleanEnv, launchers, run, type RunResult, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { skipOf } from '../support.ts';

describe('calledAs()', () => {
  it('is the client for that name alone, wherever it lies, and for a login shell', () => {
    for (const name of ['bpclient', './bpclient', '/usr/bin/bpclient', '-bpclient', '/opt/b c/bpclient'])
      assert.equal(calledAs(name, 'linux'), 'bpclient', name);
    for (const name of [
      'bpbroker',
      '/usr/bin/bpbroker',
      '-bpbroker',
      '',
      'bpclient-1.0',
      '/usr/bin/bpclient2',
      'my-bpclient',
      '/opt/bpclient/bpbroker',
      'bpclient/',
      'bpclient.exe',
      'BPCLIENT',
      String.raw`C:\bpclient`,
      'bpclient ',
    ])
      assert.equal(calledAs(name, 'linux'), 'bpbroker', name);
  });

  it('knows how Windows writes a name: in any case, with .exe and without', () => {
    for (const name of [
      'bpclient',
      'bpclient.exe',
      'BPClient.EXE',
      String.raw`C:\Program Files\bpbroker\bin\bpclient.exe`,
      String.raw`.\bpclient`,
      'C:/bin/bpclient.exe',
      'C:bpclient.exe',
    ])
      assert.equal(calledAs(name, 'win32'), 'bpclient', name);
    for (const name of [
      'bpbroker.exe',
      'bpclient.exe.old',
      'bpclient-1.0.exe',
      String.raw`C:\bpclient\bpbroker.exe`,
    ])
      assert.equal(calledAs(name, 'win32'), 'bpbroker', name);
  });
});

const executable = launchers.find(({ name }) => name === 'executable') ?? assert.fail();
const [bpbroker = ''] = executable.bpbroker;
const [bpclient = ''] = executable.bpclient;
const windows = process.platform === 'win32';

describe('the executable that is both programs', { skip: skipOf(executable) || (windows && 'links') }, () => {
  const version = async (command: readonly string[]): Promise<string> =>
    (await run(command, { env: cleanEnv(tempDir()) })).stdout;
  const inShell = (script: string, ...args: string[]): Promise<string> =>
    version(['bash', '-c', script, 'bash', ...args]);

  it('is one file with two names', () => {
    const [one, other] = [statSync(bpbroker), statSync(bpclient)];
    assert.deepEqual([one.ino, one.dev, one.nlink], [other.ino, other.dev, 2]);
  });

  it('is the program whose name it is called with: by a link, a name from exec, a copy', async () => {
    const dir = tempDir();
    const at = (name: string): string => path.join(dir, name);
    symlinkSync(bpbroker, at('bpclient'));
    symlinkSync(bpclient, at('bpbroker'));
    symlinkSync(bpclient, at('another'));
    copyFileSync(bpclient, at('bpclient-1.0'));
    for (const [name, program] of Object.entries({
      bpclient: 'bpclient',
      bpbroker: 'bpbroker',
      another: 'bpbroker',
      'bpclient-1.0': 'bpbroker',
    })) {
      assert.match(await version([at(name), '--version']), new RegExp(`^${program} \\d`), name);
      // Found by the PATH, a program hears its bare name.
      const found = await inShell('PATH=$1:$PATH exec "$2" --version', dir, name);
      assert.match(found, new RegExp(`^${program} \\d`), `${name} by the PATH`);
    }
    for (const [name, program] of [
      ['-bpclient', 'bpclient'],
      ['bpclient', 'bpclient'],
      ['-bpbroker', 'bpbroker'],
      ['', 'bpbroker'],
    ] as const)
      assert.match(
        await inShell('exec -a "$1" "$2" --version', name, bpbroker),
        new RegExp(`^${program} `),
        name,
      );
  });

  it('has the commands, the help and the completion of that program', async () => {
    const client = (...args: string[]): Promise<RunResult> =>
      run([bpclient, ...args], { env: cleanEnv(tempDir()) });
    const refused = await client('start');
    assert.deepEqual([refused.code, refused.stdout], [2, '']);
    assert.match(refused.stderr, /^Fatal error: Unknown command 'start'/);
    assert.match((await client('--help')).stdout, /bpclient discover --name foo --wait/);
    assert.match((await client('completion', 'bash')).stdout, /complete .* bpclient$/m);
    const broker = await run([bpbroker, '--help'], { env: cleanEnv(tempDir()) });
    assert.match(broker.stdout, /start +Run the broker[^]*bpbroker start/);
  });

  it('runs extensions although its file is named bpclient', async () => {
    const dir = realpathSync(tempDir());
    const file = path.join(dir, 'bpclient');
    copyFileSync(bpclient, file);
    symlinkSync(file, path.join(dir, 'bpbroker'));
    const lib = path.join(dir, 'bpbroker-home', 'lib');
    mkdirSync(lib, { recursive: true, mode: 0o700 });
    const source = `export const Greet = ({ data }) => 'hello ' + data;\n`;
    writeFileSync(path.join(lib, 'hello.mjs'), source, { mode: 0o600 });
    const env = { BPBROKER_HOME: path.dirname(lib) };
    const programs = { bpbroker: [path.join(dir, 'bpbroker')], bpclient: [file] };
    const broker = await startBroker(programs, { dir, env, config: { hello: {} } });
    const { stdout, stderr } = await broker.client(['execute', '--method', 'hello.Greet', '--data', 'you']);
    assert.equal(stdout, 'hello you\n', stderr + broker.stderr());
    assert.deepEqual(await broker.stop(), { code: 0, signal: undefined });
  });
});
