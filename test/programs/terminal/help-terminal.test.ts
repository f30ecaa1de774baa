import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { allCommands } from '../../support/programs/all-commands.ts';
import { cleanEnv, launchers, run, type RunResult } from '../../support/programs/programs.ts';
import { ptyProblem, runOnTerminal } from '../../support/programs/pty.ts';
import { tempDir } from '../../support/temp.ts';
import { freePort, reference, skipOf } from '../support.ts';

const home = tempDir();
const { NO_COLOR: _, ...env } = cleanEnv(home);
const longest = (text: string): number => Math.max(...text.split(/\r?\n/).map((line) => line.length));
// oxlint-disable-next-line no-control-regex
const plain = (text: string): string => text.replaceAll(/\u001b\[\d+m/g, '');

describe('help', () => {
  for (const launcher of launchers) {
    describe(`on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
      const type = (words: string, more: Record<string, string> = {}): Promise<RunResult> =>
        run([...launcher.bpclient, ...words.split(' ').filter(Boolean)], {
          env: { ...env, ...more },
          cwd: home,
        });

      /** On a terminal of so many columns. */
      const onTerminal = async (
        words: string,
        columns: number,
        more: Record<string, string> = {},
      ): Promise<string> => {
        const command = [...launcher.bpclient, ...words.split(' ').filter(Boolean)];
        const script = `stty cols ${columns} && exec "$@"`;
        const { stdout } = await runOnTerminal(['sh', '-c', script, 'sh', ...command], {
          env: { ...env, TERM: 'xterm', ...more },
          cwd: home,
        });
        return stdout;
      };

      it('is a command, and says what --help says', async () => {
        for (const topic of ['', 'ping', 'service', 'service get', 'completion bash']) {
          const { code, stdout, stderr } = await type(`help ${topic}`);
          assert.deepEqual([code, stderr], [0, ''], topic);
          assert.equal(stdout, (await type(`${topic} --help`)).stdout, topic);
          assert.ok(stdout.includes(`USAGE bpclient ${topic}`.trimEnd()), topic);
        }
        assert.match((await type('help help')).stdout, /^USAGE bpclient help .*<COMMAND>/m);
        const wrong = await type('help nonsense');
        assert.deepEqual([wrong.code, wrong.stdout], [2, '']);
        assert.match(wrong.stderr, /^Fatal error: Unknown command 'nonsense'; there are [^\n]*\n$/);
      });

      it('is as wide as COLUMNS says, and 80 columns without it', async () => {
        assert.ok(longest((await type('service register -h')).stdout) > 70);
        for (const columns of [40, 60]) {
          const { stdout } = await type('service register -h', { COLUMNS: String(columns) });
          assert.ok(longest(stdout) <= columns && longest(stdout) > columns - 10, stdout);
        }
      });

      it('is as wide as its terminal, and coloured there', { skip: ptyProblem }, async () => {
        for (const columns of [60, 95]) {
          const shown = await onTerminal('help service register', columns);
          assert.ok(shown.includes('\u001b[1mUSAGE\u001b[22m'), JSON.stringify(shown.slice(0, 400)));
          const width = longest(plain(shown));
          assert.ok(width <= columns && width > columns - 10, `${width} of ${columns}`);
        }
      });

      it(
        'has no colour under NO_COLOR, on a dumb terminal, and in a pipe',
        { skip: ptyProblem },
        async () => {
          for (const more of [{ NO_COLOR: '1' }, { TERM: 'dumb' }])
            assert.ok(!(await onTerminal('service register -h', 80, more)).includes('\u001b'));
          assert.ok(!(await type('service register -h')).stdout.includes('\u001b'));
        },
      );

      it('comes on standard error, with exit code 2, where a command is missing', async () => {
        for (const words of ['', 'service']) {
          const { code, stdout, stderr } = await type(words);
          assert.deepEqual([code, stdout], [2, '']);
          assert.match(stderr, /^USAGE bpclient /m);
        }
      });
    });
  }

  it('has no line longer than 60 columns there, for any command', async () => {
    const commands = allCommands();
    assert.ok(commands.length > 40, `${commands.length} commands`);
    const next = commands.values();
    await Promise.all(
      [1, 2, 3].map(async () => {
        for (const { program, path: words } of next) {
          const { code, stdout } = await run([...reference[program], ...words, '--help'], {
            env: { ...env, COLUMNS: '60' },
            cwd: home,
          });
          assert.equal(code, 0);
          assert.ok(longest(stdout) <= 60, stdout);
        }
      }),
    );
  });
});

describe('a name that no entry can have', () => {
  const names = ['', '_access_key', 'a\tb', 'x'.repeat(513)];

  it('is exit code 2 on every command that takes one, before any broker is looked for', async () => {
    // What `migrate` takes as a prefix is one of etcd's keys.
    const ofEntries = allCommands().filter(({ path: [first] }) => first !== 'migrate');
    const takers = ofEntries.flatMap(({ program, path: words, command }) =>
      command.load
        ? (['name', 'prefix'] as const)
            .filter((one) => command.options?.includes(one))
            .map((option) => ({ program, words, option }))
        : [],
    );
    assert.ok(takers.length >= 20, `${takers.length} commands`);
    const nobody = await freePort();
    for (const { program, words, option } of takers) {
      // To begin with the shortest: a prefix may be empty.
      for (const name of option === 'prefix' ? names.slice(1) : names) {
        const args = [...words, `--${option}`, name, '--port', String(nobody)];
        const taken = words[0] === 'trust' ? args.slice(0, -2) : args;
        const { code, stdout, stderr } = await run([...reference[program], ...taken], {
          env: { ...env, XDG_CONFIG_HOME: path.join(home, 'none') },
          cwd: home,
        });
        assert.deepEqual([code, stdout], [2, ''], `${taken.join(' ')}: ${stderr}`);
        assert.match(stderr, new RegExp(`^Fatal error: Invalid --${option}: [^\\n]*\\n$`));
      }
    }
  });
});
