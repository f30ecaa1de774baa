import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { atEnd } from '../../support/cleanup.ts';
import {
  cleanEnv,
  type Launcher,
  launchers,
  parseReady,
  run,
  startBroker,
} from '../../support/programs/programs.ts';
import { programFolder } from '../../support/programs/program-folder.ts';
import { ptyProblem, runOnTerminal } from '../../support/programs/pty.ts';
import { killIfThere } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { connectTo, freePort, reference, skipOf, start } from '../support.ts';

interface Detached {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Of the broker, if it has become ready. */
  readonly pid: number;
}

/** A home with a configuration file; `detach` runs `start --detach` there. */
function home(launcher: Launcher): {
  readonly dir: string;
  readonly config: string;
  readonly log: string;
  readonly env: Record<string, string>;
  detach(...args: string[]): Promise<Detached>;
} {
  const dir = tempDir();
  const config = path.join(dir, 'broker.json');
  const tmp = path.join(dir, 'tmp');
  mkdirSync(tmp);
  const env = cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0', TMPDIR: tmp });
  return {
    dir,
    config,
    log: path.join(dir, 'broker.log'),
    env,
    async detach(...args) {
      const command = [...launcher.bpbroker, 'start', '--detach', '--config', 'broker.json', ...args];
      const { code, stdout, stderr } = await run(command, { env, cwd: dir });
      const pid = Number(/process (\d+)|"pid":(\d+)/.exec(stderr)?.slice(1).find(Boolean) ?? 0);
      if (pid > 0) atEnd(() => killIfThere(pid));
      return { code, stdout, stderr, pid };
    },
  };
}

const isThere = (pid: number): boolean => {
  const state = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
  return state !== '' && !state.startsWith('Z');
};

async function stop(pid: number): Promise<void> {
  process.kill(pid, 'SIGTERM');
  await waitFor('the end of the broker', () => !isThere(pid), 15_000);
}

/** The processes that a process has started. */
function childrenOf(pid: number | undefined): number[] {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(Number);
}

const posix = process.platform === 'win32' ? 'signals and sessions are POSIX' : false;
const linux = process.platform === 'linux' ? false : 'needs /proc and named pipes of Linux';

for (const launcher of launchers) {
  describe(`start --detach on ${launcher.name}`, { skip: skipOf(launcher) || posix, concurrency: 2 }, () => {
    it('returns once the broker answers, which runs on in a session of its own, with its log in a file', async () => {
      const { dir, config, log, env, detach } = home(launcher);
      const first = await detach();
      const { stdout, stderr, pid } = first;
      assert.deepEqual([first.code, stdout], [0, ''], stderr);
      const ready = parseReady(stderr);
      assert.ok(ready, stderr);
      assert.match(
        stderr,
        new RegExp(
          `^ready: [^\\n]*, a new registry in ${config}\\nin the background: process ${pid}, which 'kill ${pid}' stops; its log is ${log}\\n$`,
        ),
      );
      const client = await connectTo({ dir, ...ready });
      await client.replace('a', 'b');
      const [session, terminal] = spawnSync('ps', ['-o', 'sid=,tty=', '-p', String(pid)], {
        encoding: 'utf8',
      })
        .stdout.trim()
        .split(/\s+/);
      assert.deepEqual([Number(session), terminal], [pid, '?']);
      assert.equal((statSync(log).mode & 0o777).toString(8), '600');
      if (process.platform === 'linux') {
        const links = [0, 1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
        assert.deepEqual(links, ['/dev/null', log, log]);
        assert.equal(readlinkSync(`/proc/${pid}/cwd`), dir);
      }
      assert.deepEqual(
        spawnSync('ls', [env['TMPDIR'] ?? ''], { encoding: 'utf8' }).stdout,
        '',
        'nothing is left',
      );

      process.kill(pid, 'SIGHUP');
      await waitFor('the reload', () =>
        readFileSync(log, 'utf8').includes('the options were taken over anew'),
      );
      assert.equal((await client.get('a')).data, 'b');
      await stop(pid);

      const again = await detach('--log-format', 'json');
      assert.equal(again.code, 0, again.stderr);
      const lines = again.stderr
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      assert.deepEqual(
        lines.map(({ message }) => message),
        ['ready', 'in the background'],
      );
      assert.deepEqual([lines[1]?.['pid'], lines[1]?.['log_file']], [again.pid, log]);
      assert.match(
        readFileSync(log, 'utf8'),
        /^ready: [^]*stopping signal=SIGTERM\n[^]*"message":"ready"/m,
        'appended',
      );
      await stop(again.pid);
    });

    it('repeats the message and the exit code of a broker that fails, and leaves nothing', async () => {
      const taken = await startBroker(reference);
      const { dir, detach, env } = home(launcher);
      const onPort = await detach('--listen-port', String(taken.port));
      assert.equal(onPort.code, 1);
      assert.match(
        onPort.stderr,
        new RegExp(
          `^Fatal error: Cannot listen on \\*:${taken.port} \\(TCP\\): the port is taken[^\\n]*\\n$`,
        ),
      );
      const wrong = await detach('--listen-port', '65536');
      assert.deepEqual(
        [wrong.code, wrong.stderr.startsWith("Fatal error: Invalid --listen-port '65536'")],
        [2, true],
      );
      writeFileSync(path.join(dir, 'broken.json'), '{');
      const broken = await run(
        [...launcher.bpbroker, 'start', '--detach', '--config', 'broken.json', '--log-file', 'other.log'],
        { env, cwd: dir },
      );
      assert.deepEqual([broken.code, broken.stdout], [1, '']);
      assert.match(broken.stderr, /^Fatal error: \S*broken\.json:1:2: malformed JSON[^\n]*\n$/);
      assert.equal(readFileSync(path.join(dir, 'other.log'), 'utf8'), broken.stderr);
      assert.deepEqual(spawnSync('ls', [env['TMPDIR'] ?? ''], { encoding: 'utf8' }).stdout, '');
      await taken.kill();
    });

    it('says what the broker wrote before it was ended, and not that it was', async () => {
      const { dir, config, env } = home(launcher);
      const command = [...launcher.bpbroker, 'start', '--detach', '--config', config, '--listen-port', '0'];
      const starting = start([...command, '--timeout', '1ms'], { env, cwd: dir });
      assert.equal(await starting.ended, 9);
      assert.match(
        starting.stderr(),
        /^Fatal error: Gave up waiting for the broker to be ready after 1 ms, /,
      );
      assert.doesNotMatch(starting.stderr(), /stopping|SIGTERM/);
    });

    // Its configuration is a pipe that nobody writes to: such a broker is never ready.
    describe('with a broker that does not get ready', { skip: linux, concurrency: 3 }, () => {
      const hanging = (...args: string[]): ReturnType<typeof start> & { broker(): Promise<number> } => {
        const { dir, config, env } = home(launcher);
        assert.equal(spawnSync('mkfifo', [config]).status, 0);
        const command = [...launcher.bpbroker, 'start', '--detach', '--config', config, ...args];
        const running = start(command, { env, cwd: dir });
        return {
          ...running,
          async broker() {
            const pid = await waitFor('the broker', () => childrenOf(running.child.pid)[0]);
            atEnd(() => killIfThere(pid));
            return pid;
          },
        };
      };

      it('gives up when the time has passed, and ends it', async () => {
        const starting = hanging('--timeout', '5s');
        const pid = await starting.broker();
        assert.equal(await starting.ended, 9);
        assert.match(
          starting.stderr(),
          /^Fatal error: Gave up waiting for the broker to be ready after 5 s, and ended it; it has written nothing to its log \S+broker\.log\n$/,
        );
        assert.ok(!isThere(pid));
      });

      it('ends it on a signal', async () => {
        for (const [signal, code] of [
          ['SIGINT', 130],
          ['SIGTERM', 143],
          ['SIGHUP', 129],
        ] as const) {
          const starting = hanging();
          const pid = await starting.broker();
          // Until it is the broker that it is to become, and its starter waits for it.
          await waitFor('the broker to open its file', () =>
            spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).stdout.includes(
              '--config=',
            ),
          );
          starting.child.kill(signal);
          assert.equal(await starting.ended, code, starting.stderr());
          assert.ok(!isThere(pid), signal);
        }
      });

      it('says what has ended it, where it could say nothing itself', async () => {
        const starting = hanging();
        process.kill(await starting.broker(), 'SIGKILL');
        assert.equal(await starting.ended, 137);
        assert.match(
          starting.stderr(),
          /^Fatal error: The broker ended by SIGKILL before it was ready; it has written nothing to its log /,
        );
      });
    });
  });
}

describe('start --detach', { skip: posix }, () => {
  it('refuses a log that cannot be, and options that are about a detached broker without one', async () => {
    const { dir, env, detach } = home(reference);
    symlinkSync('elsewhere', path.join(dir, 'link'));
    const wrong: [string[], RegExp][] = [
      [
        ['--log-file', 'none/x.log'],
        /^Fatal error: Cannot open --log-file none\/x\.log: .*make its folder \S+none \[ENOENT\]\n$/,
      ],
      [['--log-file', '.'], /^Fatal error: Cannot open --log-file \.: it is a folder/],
    ];
    if (process.getuid?.() === 0)
      wrong.push([['--log-file', 'link'], /give the path of the file itself \[ELOOP\]/]);
    if (!linux) {
      spawnSync('mkfifo', [path.join(dir, 'pipe')]);
      wrong.push([['--log-file', 'pipe'], /Cannot open --log-file pipe: it is not a file\n$/]);
    }
    for (const [args, message] of wrong) {
      const { code, stderr } = await detach(...args);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    }
    for (const option of [
      ['--log-file', 'x.log'],
      ['--timeout', '5s'],
    ]) {
      const { code, stderr } = await run([...reference.bpbroker, 'start', ...option], { env, cwd: dir });
      assert.equal(code, 2);
      assert.match(stderr, /has no meaning without --detach/);
    }
  });

  it('its broker outlives the terminal that it was started from', { skip: ptyProblem }, async () => {
    const { dir, env } = home(reference);
    const port = await freePort();
    const programs = programFolder(reference);
    const command = ['bash', '-ic', 'bpbroker start --detach --config broker.json; echo "code $?"'];
    const { stdout } = await runOnTerminal(command, {
      env: { ...env, PATH: `${programs}:${env['PATH']}`, BPBROKER_LISTEN_PORT: String(port) },
      cwd: dir,
    });
    const pid = Number(/process (\d+)/.exec(stdout)?.[1] ?? 0);
    atEnd(() => killIfThere(pid));
    assert.match(stdout, /code 0\r?\n/);
    assert.match(
      stdout,
      /From another terminal on this host:/,
      'on a terminal it says what may be typed next',
    );
    const steps = [...stdout.matchAll(/^ {2}(?:npx )?(bpbroker [^\r\n]*)/gm)].map(([, line = '']) => line);
    assert.equal(steps.length, 4, stdout);
    for (const line of steps) {
      const { code, stderr } = await run(['sh', '-c', line], {
        env: { ...env, PATH: `${programs}:${env['PATH']}` },
        cwd: dir,
      });
      assert.equal(code, 0, `${line}: ${stderr}`);
    }
    const ready = parseReady(stdout.replaceAll('\r', ''));
    assert.ok(ready, stdout);
    const client = await connectTo({ dir, ...ready });
    assert.equal((await client.ping('there')).data, 'there');
    await stop(pid);
  });
});
