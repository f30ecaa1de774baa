import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { root } from '../../../build/root.ts';
import { completionCommands } from '../../../src/cli/completion/commands.ts';
import { blocksOf } from '../../support/documents/documents.ts';
import {
  cleanEnv,
  launchers,
  run,
  type RunningBroker,
  startBroker,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { untilEqual, waitFor } from '../../support/wait.ts';
import { follow, freePort, reference, skipOf } from '../support.ts';

/** A folder whose `bpbroker` and `bpclient` are what is tested, with a file to complete; also the shell's home. */
function shellHome(): string {
  const dir = tempDir();
  for (const program of ['bpbroker', 'bpclient'] as const) {
    const [file = '', ...words] = reference[program];
    if (words.length === 0) symlinkSync(file, path.join(dir, program));
    else
      writeFileSync(path.join(dir, program), `#!/bin/sh\nexec ${[file, ...words].join(' ')} "$@"\n`, {
        mode: 0o755,
      });
  }
  writeFileSync(path.join(dir, 'answer 1.txt'), '');
  return dir;
}

const envOf = (home: string, extra: Record<string, string> = {}): Record<string, string> =>
  cleanEnv(home, { PATH: `${home}:${process.env['PATH']}`, TERM: 'dumb', ...extra });

/** The line that loads a shell's completion, as `completion --help` has it. */
function loadLine(shell: 'bash' | 'zsh'): string {
  const shown = completionCommands('bpclient', () => assert.fail())['completion']?.subCommands?.[shell];
  return `${shown?.description.replace(`For ${shell}: `, '')}\n`;
}

/** Types at a shell's prompt, `<TAB>` being that key, and returns the resulting line. */
async function typeAt(
  shell: 'bash' | 'zsh',
  home: string,
  line: string,
  extra: Record<string, string> = {},
): Promise<string> {
  const prompt = `PS1='READY: '\n`;
  const load = loadLine(shell);
  writeFileSync(path.join(home, '.bashrc'), `${prompt}${load}bind 'set enable-bracketed-paste off'\n`);
  writeFileSync(
    path.join(home, '.zshrc'),
    `${prompt}autoload -Uz compinit; compinit -u; bindkey -e\n${load}`,
  );
  const command = shell === 'bash' ? `bash --rcfile ${home}/.bashrc -i` : 'zsh -i';
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: home,
    env: envOf(home, extra),
    stdio: 'pipe',
  });
  const terminal = follow(child);
  await waitFor('the prompt', () => terminal.stdout().includes('READY: '));
  // Ctrl-A goes to the beginning of the line: what has become of it is printed instead of run.
  child.stdin.write(`${line.replaceAll('<TAB>', '\t')}\u0001printf '<%s>' \n`);
  const became = await waitFor('the line', () => /\n(<.*>)/.exec(terminal.stdout())?.[1]);
  await terminal.stop();
  return became.slice(1, -1).replaceAll('><', ' ');
}

/** What the broker answers too late for a person is left out, and the key is pressed again. */
const pressUntil = untilEqual.bind(undefined, 'it to be completed');

const missing = async (program: string): Promise<string | false> =>
  run([program, '--version']).then(
    () => false,
    () => `needs the program '${program}'`,
  );

const skips = {
  bash: await missing('bash'),
  zsh: await missing('zsh'),
  fish: await missing('fish'),
  shellcheck: await missing('shellcheck'),
};

describe('completion in a shell', () => {
  let broker: RunningBroker;
  let home = '';
  let known: Record<string, string>;

  before(async () => {
    home = shellHome();
    broker = await startBroker(reference, { config: { services: { _access_key: 'secret' } } });
    const address = `127.0.0.1:${broker.port}`;
    known = { BPBROKER: address, BPBROKER_ACCESS_KEY: 'secret', BPBROKER_FINGERPRINT: broker.fingerprint };
    for (const name of ['site:a/1', 'spring', 'team=x:y=db'])
      await broker.client(['service', 'replace', '--name', name, '--data', 'x', '-a', 'secret']);
  });

  for (const shell of ['bash', 'zsh'] as const) {
    describe(shell, { skip: skips[shell] }, () => {
      it('completes commands, options and choices', async () => {
        assert.equal(
          await typeAt(shell, home, 'bpclient serv<TAB>ge<TAB>--na<TAB>x --form<TAB>js<TAB>'),
          'bpclient service get --name x --format json',
        );
      });

      it('completes lock, its options, and the files of its command', async () => {
        const line = 'bpclient loc<TAB>--na<TAB>spr<TAB>--wai<TAB>-- cat answ<TAB>';
        const whole = 'bpclient lock --name spring --wait -- cat answer 1.txt';
        await pressUntil(whole, () => typeAt(shell, home, line, known));
      });

      it('completes the topics of help', async () => {
        assert.equal(
          await typeAt(shell, home, 'bpclient he<TAB>serv<TAB>regi<TAB>'),
          'bpclient help service register',
        );
      });

      it('completes the text after an equals sign', async () => {
        assert.equal(
          await typeAt(shell, home, 'bpclient ping --format=js<TAB>'),
          'bpclient ping --format=json',
        );
      });

      it('completes file names where a file is taken, with what they need of quotes', async () => {
        const line = await typeAt(shell, home, 'bpclient ping --access-key-file a<TAB>');
        assert.equal(line, 'bpclient ping --access-key-file answer 1.txt');
      });

      it('completes names of entries, colons and equals signs too', async () => {
        for (const [typed, whole] of [
          ['spr', 'spring'],
          ['si', 'site:a/1'],
          ['site:', 'site:a/1'],
          ['team=', 'team=x:y=db'],
          ['team=x:y=d', 'team=x:y=db'],
        ] as const) {
          await pressUntil(`bpclient service get --name ${whole}`, () =>
            typeAt(shell, home, `bpclient service get --name ${typed}<TAB>`, known),
          );
        }
      });
    });
  }

  describe('fish', { skip: skips.fish }, () => {
    const candidates = async (line: string): Promise<string[]> => {
      const code = 'bpclient completion fish | source; complete -C "$argv"';
      const { stdout, stderr } = await run(['fish', '-c', code, line], {
        env: envOf(home, known),
        cwd: home,
      });
      assert.equal(stderr, '');
      return stdout
        .trimEnd()
        .split('\n')
        .map((one) => one.split('\t')[0] ?? '');
    };

    it('completes commands, options, choices, files and names', async () => {
      assert.deepEqual(await candidates('bpclient service re'), ['register', 'renew', 'replace']);
      assert.deepEqual(await candidates('bpclient hel'), ['help']);
      assert.deepEqual(await candidates('bpclient help service re'), ['register', 'renew', 'replace']);
      assert.deepEqual(await candidates('bpclient service get --access-key-'), ['--access-key-file']);
      assert.deepEqual(await candidates('bpclient ping --format cs'), ['csv', 'csv-noheader']);
      assert.deepEqual(await candidates('bpclient ping --format=j'), ['--format=json']);
      assert.deepEqual(await candidates('bpclient ping --access-key-file a'), ['answer 1.txt']);
      assert.deepEqual(await candidates('bpclient ping --access-key-file=a'), [
        '--access-key-file=answer 1.txt',
      ]);
      for (const line of ['bpclient service get --name s', 'bpclient lock --name s'])
        await pressUntil(['site:a/1', 'spring'], () => candidates(line));
      assert.deepEqual(await candidates('bpclient lock --name x --wa'), ['--wait']);
      assert.deepEqual(await candidates('bpclient lock --name x -- cat a'), ['answer 1.txt']);
    });
  });

  it('asks only a broker that is named and whose identity is known, and keeps quiet', async () => {
    const ask = async (env: Record<string, string>, ...more: string[]): Promise<string> => {
      const own = tempDir();
      const words = [...more, 'service', 'get', '--name', 's'].map((word) => `--word=${word}`);
      const { code, stdout, stderr } = await run([...reference.bpclient, 'complete', ...words], {
        env: cleanEnv(own, env),
        cwd: own,
      });
      assert.deepEqual([code, stderr], [0, '']);
      assert.ok(!existsSync(path.join(own, 'config')), 'it made no file');
      return stdout;
    };
    const { BPBROKER: address = '', BPBROKER_FINGERPRINT: identity = '' } = known;
    await pressUntil('words\nsite:a/1\t\nspring\t\n', () => ask(known));
    const keyFile = path.join(tempDir(), 'key');
    writeFileSync(keyFile, 'secret\n');
    const given = ['-b', address, '--access-key-file', keyFile, `--fingerprint=${identity}`];
    await pressUntil('words\nsite:a/1\t\nspring\t\n', () => ask({}, ...given));
    const nothing: Record<string, string>[] = [
      { ...known, BPBROKER_FINGERPRINT: '' },
      { ...known, BPBROKER_FINGERPRINT: `sha256:${'0'.repeat(64)}` },
      { ...known, BPBROKER_FINGERPRINT: 'nonsense' },
      { ...known, BPBROKER_ACCESS_KEY: 'wrong' },
      { ...known, BPBROKER: '' },
      { ...known, BPBROKER: '[' },
      { ...known, BPBROKER: `127.0.0.1:${await freePort()}` },
    ];
    for (const env of nothing) assert.equal(await ask(env), 'words\n', JSON.stringify(env));
  });

  it('does not wait for a broker that does not answer', async () => {
    const listener = spawn(process.execPath, [
      '-e',
      `require('net').createServer(() => {}).listen(0, '127.0.0.1', function () { console.log(this.address().port); })`,
    ]);
    const silent = follow(listener);
    const [port] = await waitFor('the port', () => (silent.lines().length > 0 ? silent.lines() : undefined));
    const own = tempDir();
    const env = cleanEnv(own, { ...known, BPBROKER: `127.0.0.1:${port}` });
    const words = ['service', 'get', '--name', 's'].map((word) => `--word=${word}`);
    const { code, stdout } = await run([...reference.bpclient, 'complete', ...words], {
      env,
      timeoutMs: 10_000,
    });
    assert.deepEqual([code, stdout], [0, 'words\n']);
    await silent.stop();
  });
});

describe('completion', () => {
  it('is loaded as help shows it, in docs/install.md too', () => {
    const block = blocksOf('docs/install.md').find(({ text }) =>
      text.startsWith('eval "$(bpbroker completion'),
    );
    const lines = (block?.text ?? '')
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ +# /)[0] ?? '');
    const shells = completionCommands('bpbroker', () => assert.fail())['completion']?.subCommands ?? {};
    const helped = Object.values(shells).map(({ description }) => description.replace(/^For \S+: /, ''));
    assert.deepEqual(lines.toSorted(), helped.toSorted());
  });

  for (const launcher of launchers) {
    it(
      `prints a script for each shell, of either program, on ${launcher.name}`,
      { skip: skipOf(launcher) },
      async () => {
        const home = tempDir();
        for (const program of ['bpbroker', 'bpclient'] as const) {
          for (const shell of ['bash', 'zsh', 'fish', 'powershell']) {
            const { code, stdout } = await run([...launcher[program], 'completion', shell], {
              env: cleanEnv(home),
            });
            assert.equal(code, 0);
            const file = `in-${shell}.${shell === 'powershell' ? 'ps1' : shell}`;
            const source = readFileSync(path.join(root, 'src', 'cli', 'completion', file), 'utf8');
            assert.equal(stdout, source.replaceAll('PROGRAM', program));
          }
        }
      },
    );
  }

  it('is loaded in bash by a line of which bash 3.2 reads something too', () => {
    assert.doesNotMatch(loadLine('bash'), /<\(/);
    const page = readFileSync(path.join(root, 'docs', 'install.md'), 'utf8');
    for (const shell of ['bash', 'zsh'] as const)
      assert.ok(page.includes(`\n${loadLine(shell).trim().replace('bpclient', 'bpbroker')} `), shell);
  });

  it('answers every script, PowerShell too, with the topics of help', async () => {
    const ask = async (...words: string[]): Promise<string[]> => {
      const args = words.map((word) => `--word=${word}`);
      const { stdout } = await run([...reference.bpclient, 'complete', ...args], {
        env: cleanEnv(tempDir()),
      });
      return stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t')[0] ?? '');
    };
    assert.deepEqual(await ask('help', 'service', 're'), ['words', 'register', 'replace', 'renew']);
    assert.deepEqual(await ask('help', 'pi'), ['words', 'ping']);
    assert.deepEqual(await ask('lock', '--foreg'), ['words', '--foreground']);
    assert.deepEqual(await ask('lock', '--name', 'x', '--', 'ca'), ['files']);
    assert.deepEqual(await ask('service', 'delete', '--name', 'x', '--if-l'), ['words', '--if-locked']);
    const options = {
      lock: ['name', 'data', 'ttl', 'wait', 'timeout', 'foreground'],
      ping: ['wait', 'timeout'],
      'service get': ['default', 'data-only', 'cols', 'format', 'wait'],
      'service register': ['json', 'ttl', 'if-same', 'if-locked'],
      'service update': ['unset', 'json', 'if-revision'],
      'service delete': ['prefix', 'if-locked'],
      'service list': ['count', 'wait-count', 'data-only'],
      'service watch': ['initial', 'after', 'count', 'exec', 'timeout'],
    };
    for (const [command, names] of Object.entries(options)) {
      const offered = await ask(...command.split(' '), '--');
      for (const name of names) assert.ok(offered.includes(`--${name}`), `${command} --${name}`);
    }
    // A topic takes no options: what it names is not run.
    assert.deepEqual(await ask('help', 'ping', '--'), ['words', '--help']);
  });

  it('is a usage error without a shell, or for one that it does not know', async () => {
    const home = tempDir();
    const ask = (...args: string[]): ReturnType<typeof run> =>
      run([...reference.bpclient, 'completion', ...args], { env: cleanEnv(home) });
    assert.equal((await ask()).code, 2);
    const wrong = await ask('powershel');
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /Unknown completion command 'powershel' \(did you mean 'powershell'\?\)/);
  });

  it('has nothing in its script for bash that shellcheck warns of', { skip: skips.shellcheck }, async () => {
    const { stdout } = await run([...reference.bpclient, 'completion', 'bash'], { env: cleanEnv(tempDir()) });
    const checked = await run(['shellcheck', '--shell=bash', '-'], { input: stdout });
    assert.equal(checked.stdout, '');
  });

  it('has a script for PowerShell that closes what it opens and calls what there is', async () => {
    const { stdout } = await run([...reference.bpclient, 'completion', 'powershell'], {
      env: cleanEnv(tempDir()),
    });
    const bare = stdout.replaceAll(/'[^'\n]*'|"[^"\n]*"/g, '').replaceAll(/^\s*#.*$/gm, '');
    for (const [open, close] of [
      ['{', '}'],
      ['(', ')'],
      ['[', ']'],
    ] as const)
      assert.equal(bare.split(open).length, bare.split(close).length, open);
    assert.match(
      stdout,
      /^Register-ArgumentCompleter -Native -CommandName bpclient, bpclient\.exe -ScriptBlock \{$/m,
    );
    assert.match(stdout, /& bpclient complete @arguments/);
    assert.doesNotMatch(bare, /&&|\|\||\?\?|\s\?\s/);
    // PowerShell knows its quotes, the typographic ones too; a name of an entry must not end the string that it is put in.
    assert.match(
      stdout,
      /\$inner = \[[\w.]+\.CodeGeneration\]::EscapeSingleQuotedStringContent\(\$value\)$/m,
    );
    assert.match(stdout, /else \{ "'" \+ \$inner \+ "'" \}$/m);
  });
});
