import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { atEnd } from '../../support/cleanup.ts';
import { cleanEnv, type Launcher, launchers, run, startBroker } from '../../support/programs/programs.ts';
import { killIfThere } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { connectTo, reference, skipOf } from '../support.ts';

interface Line {
  readonly message: string;
  readonly level: string;
  readonly time: string;
  readonly [field: string]: unknown;
}

/** The lines of a log of JSON; fails with the first that is none. */
function linesOf(log: string): Line[] {
  const lines = log.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    try {
      return JSON.parse(line) as Line;
    } catch (error) {
      throw new Error(`This is no JSON: ${line}`, { cause: error });
    }
  });
}

const posix = process.platform === 'win32' ? 'signals and sessions are POSIX' : false;

/**
 * Does to a broker from within what a library might, once the file exists.
 * @param last what it does at last, in a callback.
 */
const trouble = (trigger: string, last = "throw new Error('nobody handles this');"): string => `
import { existsSync } from 'node:fs';
const timer = setInterval(() => {
  if (!existsSync(${JSON.stringify(trigger)})) return;
  clearInterval(timer);
  console.error('an error of a library', { in: 'an object' });
  console.log('a line\\nand another');
  process.emitWarning('something is deprecated', 'DeprecationWarning');
  setTimeout(() => { ${last} }, 50);
}, 20);
// Deno begins the program once nothing is left to do.
timer.unref();
`;

/** The command of a broker before whose program a file runs. */
function preloading({ name, bpbroker }: Launcher, file: string): readonly string[] {
  const [runtime = '', ...rest] = bpbroker;
  if (name === 'deno') return [runtime, 'run', '--preload', file, ...rest.slice(1)];
  return [runtime, name === 'bun' ? '--preload' : '--import', file, ...rest];
}

for (const launcher of launchers) {
  describe(`a log of JSON on ${launcher.name}`, { skip: skipOf(launcher), concurrency: 2 }, () => {
    it('has why a second broker does not start, which exits 4', { skip: posix }, async () => {
      const dir = tempDir();
      const env = cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0', TMPDIR: dir });
      const config = path.join(dir, 'broker.json');
      const detach = (format: string): ReturnType<typeof run> =>
        run([...launcher.bpbroker, 'start', '--detach', '--config', config, '--log-format', format], {
          env,
          cwd: dir,
        });
      const first = await detach('json');
      assert.equal(first.code, 0, first.stderr);
      const [ready, background] = linesOf(first.stderr);
      const pid = Number(background?.['pid']);
      atEnd(() => killIfThere(pid));
      for (const format of ['json', 'auto']) {
        const second = await detach(format);
        assert.deepEqual([second.code, second.stdout], [4, ''], second.stderr);
        const [told, ...more] = linesOf(second.stderr);
        const { time, ...rest } = told ?? { time: '' };
        assert.ok(Date.parse(time) > 0);
        assert.deepEqual(
          [rest, more],
          [
            {
              level: 'error',
              message: 'Fatal error',
              error: `A broker (pid ${pid}) already runs with ${config}; use it, or stop it first`,
              exit_code: 4,
            },
            [],
          ],
        );
      }
      const log = linesOf(readFileSync(path.join(dir, 'broker.log'), 'utf8'));
      assert.deepEqual(
        log.filter(({ message }) => message === 'ready' || message === 'Fatal error').length,
        3,
      );
      const port = Number(new URL(String(ready?.['url'])).port);
      const client = await connectTo({ dir, port, fingerprint: String(ready?.['fingerprint']) });
      assert.equal((await client.ping('still there')).data, 'still there');
      process.kill(pid, 'SIGTERM');
    });

    it('has a line of JSON for every failure of start', async () => {
      const dir = tempDir();
      const json = ['--log-format', 'json'];
      const failures: readonly (readonly [number, readonly string[], Record<string, string>, RegExp])[] = [
        [2, ['start', '--lisen-port', '1', ...json], {}, /^Unknown option '--lisen-port'/],
        [2, [...json, 'start', '--listen-port', '65536'], {}, /^Invalid --listen-port '65536'/],
        [2, ['--log-format=json', 'start', 'now'], {}, /^Unexpected argument 'now'/],
        [
          2,
          ['start', '--listen-port'],
          { BPBROKER_LOG_FORMAT: 'json' },
          /^Option --listen-port needs a value/,
        ],
        [2, ['start', '--log-level', 'all', '--log-format', 'auto'], {}, /^Invalid --log-level 'all'/],
        [2, ['start', '--config', 'none/x.json', ...json], {}, /^There is no folder/],
        [
          2,
          ['start', '--detach', '--config', 'none/x.json', '--log-format', 'auto'],
          {},
          /^There is no folder/,
        ],
        [2, ['start', '--detach', '--log-file', '.', ...json], {}, /^Cannot open --log-file \./],
      ];
      for (const [code, args, variables, message] of failures) {
        const told = await run([...launcher.bpbroker, ...args], { env: cleanEnv(dir, variables), cwd: dir });
        const lines = linesOf(told.stderr);
        assert.deepEqual([told.code, told.stdout, lines.length], [code, '', 1], told.stderr);
        assert.deepEqual([lines[0]?.message, lines[0]?.['exit_code']], ['Fatal error', code]);
        assert.match(String(lines[0]?.['error']), message);
      }
    });

    // An executable loads nothing before its program that could write so.
    if (launcher.name === 'executable') return;
    it('has what a library writes, the warnings of the runtime, and what ends the broker', async () => {
      const dir = tempDir();
      const trigger = path.join(dir, 'trouble');
      const file = path.join(dir, 'trouble.mjs');
      writeFileSync(file, trouble(trigger));
      const broker = await startBroker(
        { ...launcher, bpbroker: preloading(launcher, file) },
        { args: ['--log-format', 'json'] },
      );
      writeFileSync(trigger, '');
      await waitFor('its end', () => linesOf(broker.stderr()).some(({ level }) => level === 'error'));
      const lines = linesOf(broker.stderr());
      const said = lines.map(({ message, text, warning, error }) => [message, text ?? warning ?? error]);
      const expected = [
        ['a library wrote to the console', "an error of a library { in: 'an object' }"],
        ['a library wrote to the console', 'a line\nand another'],
        ['the runtime warns', 'something is deprecated'],
      ];
      for (const one of expected)
        assert.ok(
          said.some(([a, b]) => a === one[0] && b === one[1]),
          broker.stderr(),
        );
      const [, last] = said.at(-1) ?? [];
      assert.match(String(last), /nobody handles this/);
      assert.equal((await broker.stop()).code, 1);
      linesOf(broker.stderr());
    });

    it('exits with 1 after an error that nothing handled, though a signal stops it at that moment', async () => {
      const dir = tempDir();
      const trigger = path.join(dir, 'trouble');
      const file = path.join(dir, 'trouble.mjs');
      // As on a busy machine: the short waits, by which the line gets out, are long.
      const late =
        'const soon = setTimeout; globalThis.setTimeout = (f, ms, ...more) => soon(f, ms === 5 ? 500 : ms, ...more);';
      const both = "process.emit('SIGTERM', 'SIGTERM', 15); throw new Error('nobody handles this');";
      writeFileSync(file, `${late}\n${trouble(trigger, both)}`);
      const broker = await startBroker(
        { ...launcher, bpbroker: preloading(launcher, file) },
        { args: ['--log-format', 'json'] },
      );
      writeFileSync(trigger, '');
      assert.deepEqual(await broker.ended, { code: 1, signal: undefined }, broker.stderr());
      assert.match(broker.stderr(), /nobody handles this/);
    });
  });
}

describe('what is no log', () => {
  it('has its failures as text, whatever form the log of a broker has', async () => {
    const env = cleanEnv(tempDir(), { BPBROKER_LOG_FORMAT: 'json' });
    for (const args of [
      ['ping', '--data', 'start', '--wiat'],
      ['service', 'strat'],
      ['--name', 'start', 'ping'],
    ]) {
      const { code, stderr } = await run([...reference.bpbroker, ...args], { env });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /^Fatal error: [^\n]+\n$/);
    }
  });
});
