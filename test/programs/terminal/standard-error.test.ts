import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type BrokerClient, connect } from '../../../src/client/client.ts';
import { atEnd } from '../../support/cleanup.ts';
import { isRunning } from '../../support/programs/is-running.ts';
import {
  cleanEnv,
  type Launcher,
  launchers,
  run,
  type RunningBroker,
  type RunResult,
  startBroker,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { follow, freePort, reference, skipOf } from '../support.ts';

// More lines than a call may log, each as long as a log line may be: with a few calls, more than any buffer takes.
const noise = `#!/bin/sh
i=0
line=$(printf '%01000d' 0)
while [ $i -lt 240 ]; do echo "$line" >&2; i=$((i+1)); done
echo '{"done":true}'
`;
const NOISY_CALLS = 4;

interface Noisy {
  readonly child: ChildProcess;
  readonly client: BrokerClient;
  /** Logs more than the reader and the broker hold. */
  makeNoise(): Promise<void>;
}

/** A broker whose standard error goes where the caller says, with an extension that prints much. */
async function startNoisy(launcher: Launcher, stderr: 'pipe' | number): Promise<Noisy> {
  const dir = tempDir();
  const port = await freePort();
  const file = path.join(dir, 'bpbroker.json');
  const lib = path.join(dir, 'bpbroker', 'lib');
  mkdirSync(lib, { recursive: true });
  writeFileSync(path.join(lib, 'noise'), noise, { mode: 0o755 });
  const config = { api: { listen_port: port, listen_ip: '127.0.0.1' }, noise: {} };
  writeFileSync(file, JSON.stringify({ ...config, _config: { backup_freq_secs: 0 } }), { mode: 0o600 });
  // Standard output leads to the same place, as the journal of systemd has it.
  const args = ['-c', 'exec "$@" >&2', 'bash', ...launcher.bpbroker, 'start', '--config', file];
  const child = spawn('bash', args, { cwd: dir, env: cleanEnv(dir), stdio: ['ignore', 'ignore', stderr] });
  atEnd(() => child.kill('SIGKILL'));
  const options = { broker: `127.0.0.1:${port}`, knownBrokers: path.join(dir, 'known'), timeoutMs: 10_000 };
  const client = await waitFor('the broker', () => connect(options).then(answering), 30_000);
  atEnd(() => client.close());
  return {
    child,
    client,
    async makeNoise() {
      for (let i = 0; i < NOISY_CALLS; i++) await client.execute('noise.Run', {});
    },
  };
}

async function answering(client: BrokerClient): Promise<BrokerClient> {
  await client.ping('');
  return client;
}

/** What a SIGTERM ends it with. */
function terminated(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve) => {
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
    child.once('exit', (code, signal) => {
      clearTimeout(late);
      resolve(code ?? signal);
    });
    child.kill('SIGTERM');
  });
}

/** Writes to a pipe that does not block until it takes no more. */
function fill(fd: number): void {
  try {
    for (;;) writeSync(fd, 'x');
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
  }
}

function makeFifo(): string {
  const fifo = path.join(tempDir(), 'fifo');
  spawnSync('mkfifo', [fifo]);
  return fifo;
}

const linux = process.platform === 'linux' ? false : 'the devices of Linux';
const python = spawnSync('python3', ['--version']).status === 0 ? false : 'python3 is not here';

const notRoot =
  process.getuid?.() === 0 && spawnSync('setpriv', ['--version']).status === 0
    ? false
    : "needs root and the program 'setpriv'";

// Runs a command on a terminal of its own, which hangs up when a line comes on standard input; after one more line it
// prints what the command ended with.
const onTerminal = `
import os, pty, subprocess, sys
master, slave = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stderr=slave, stdout=subprocess.DEVNULL, start_new_session=True)
os.close(slave)
print(child.pid, flush=True)
sys.stdin.readline()
os.close(master)
print('hung up', flush=True)
code = child.wait()
sys.stdin.readline()
print(code, flush=True)
`;

// Starts a command with `&` in a shell on a terminal, which is closed when a line comes on standard input.
const inShell = String.raw`
import os, pty, re, shlex, sys
pid, master = pty.fork()
if pid == 0:
    os.execvp('bash', ['bash', '--norc', '--noprofile', '-i'])
os.write(master, (shlex.join(sys.argv[1:]) + ' & echo PID=$!\n').encode())
seen = b''
while not re.search(rb'PID=\d+\r', seen): seen += os.read(master, 4096)
print(re.search(rb'PID=(\d+)', seen)[1].decode(), flush=True)
sys.stdin.readline()
os.close(master)
os.waitpid(pid, 0)
print('hung up', flush=True)
sys.stdin.readline()
print(0, flush=True)
`;

describe('standard error never hurts the work', { skip: linux }, () => {
  let shared: RunningBroker;
  before(async () => {
    shared = await startBroker(reference);
  });
  after(() => shared.kill());

  for (const launcher of launchers) {
    describe(`on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
      const client = (redirection: string, words: readonly string[]): Promise<RunResult> => {
        const home = tempDir();
        const command = [...launcher.bpclient, '-b', `127.0.0.1:${shared.port}`, ...words];
        const script = ['bash', '-c', `"$@" ${redirection}`, 'bash', ...command];
        return run(script, { env: cleanEnv(home), cwd: home });
      };

      for (const [what, redirection] of [
        ['on a full disk', '2>/dev/full'],
        ['closed', '2>&-'],
        ['of a reader that has gone', '2> >(exec true); true'],
      ] as const) {
        it(`a client's exit code and work are the same with standard error ${what}`, async () => {
          const name = `${launcher.name} ${what}`;
          // The first contact of a home is reported.
          const made = await client(redirection, ['service', 'register', '--name', name, '--data', 'x']);
          assert.deepEqual([made.code, made.stdout], [0, 'x\n']);
          assert.equal((await client('', ['service', 'get', '--name', name])).stdout, 'x\n');
          if (redirection.endsWith('true')) return;
          assert.equal((await client(redirection, ['service', 'get', '--name', 'nosuch'])).code, 3);
          assert.equal((await client(redirection, ['no-such-command'])).code, 2);
        });
      }

      it("a client's last words to a pipe that is full do not hold up its end", async () => {
        const fifo = makeFifo();
        const held = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
        fill(held);
        for (const [name, code] of [
          ['nosuch', 3],
          ['_no', 2],
        ] as const) {
          assert.equal((await client(`2> ${fifo}`, ['service', 'get', '--name', name])).code, code);
        }
        closeSync(held);
      });

      it(
        "nor do they to another user's pipe, which cannot be opened once more",
        { skip: notRoot },
        async () => {
          const fifo = makeFifo();
          const held = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
          fill(held);
          const nobody = 'setpriv --reuid=65534 --regid=65534 --clear-groups "$@"';
          const script = [
            'bash',
            '-c',
            `${nobody} 2> ${fifo}`,
            'bash',
            ...launcher.bpclient,
            'no-such-command',
          ];
          assert.equal((await run(script, { env: cleanEnv('/'), cwd: '/' })).code, 2);
          closeSync(held);
        },
      );

      it('a pipe whose reader sleeps: the broker answers, ends on SIGTERM, and tells what was lost', async () => {
        const fifo = makeFifo();
        const held = openSync(fifo, 'r+');
        const stderr = openSync(fifo, 'w');
        const { child, client: caller, makeNoise } = await startNoisy(launcher, stderr);
        closeSync(stderr);
        await makeNoise();
        await caller.replace('still', 'here');
        assert.equal((await caller.get('still')).data, 'here');
        let printed = '';
        const buffer = Buffer.alloc(64 * 1024);
        // What waits comes out once there is room, and then the number of lines that did not.
        await waitFor('the count of lost lines', () => {
          if (/\d+ lines were lost/.test(printed)) return true;
          printed += buffer.toString('utf8', 0, readSync(held, buffer));
          return false;
        });
        await makeNoise();
        assert.equal(await terminated(child), 0);
        closeSync(held);
      });

      it('a socket whose reader sleeps: the broker answers, ends on SIGTERM, and tells what was lost', async () => {
        const { child, client: caller, makeNoise } = await startNoisy(launcher, 'pipe');
        await makeNoise();
        await caller.replace('still', 'here');
        const running = follow(child);
        await waitFor('the count of lost lines', () => /\d+ lines were lost/.test(running.stderr()));
        child.stderr?.pause();
        await makeNoise();
        assert.equal(await terminated(child), 0);
      });

      for (const [what, onIt] of [
        ['a terminal that hangs up', onTerminal],
        ['a terminal that closes, with its shell,', inShell],
      ] as const) {
        it(`${what} takes neither the broker nor its backups along`, { skip: python }, async () => {
          const dir = tempDir();
          const port = await freePort();
          const file = path.join(dir, 'bpbroker.json');
          const config = {
            api: { listen_port: port },
            _config: { backup_freq_secs: 0.2, backup_retain_n: 5 },
          };
          writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
          const command = ['python3', '-c', onIt, ...launcher.bpbroker, 'start', '--config', file];
          const [program = '', ...args] = command;
          const terminal = spawn(program, args, { cwd: dir, env: cleanEnv(dir), stdio: 'pipe' });
          const running = follow(terminal);
          const pid = await waitFor('the pid', () => running.lines()[0]);
          atEnd(() => {
            try {
              process.kill(Number(pid), 'SIGKILL');
            } catch {
              // It has ended.
            }
          });
          const options = { broker: `127.0.0.1:${port}`, knownBrokers: path.join(dir, 'known') };
          const caller = await waitFor('the broker', () => connect(options).then(answering), 30_000);
          atEnd(() => caller.close());
          terminal.stdin.write('\n');
          await waitFor('the end of the terminal', () => running.lines().includes('hung up'));
          for (const name of ['first', 'second']) {
            const { revision } = await caller.replace(name, name);
            const backup = `r${String(revision).padStart(16, '0')}`;
            await waitFor(`backup ${backup}`, async () => {
              const { stdout } = await run(['ls', path.join(dir, 'backups')]);
              return stdout.includes(backup);
            });
          }
          process.kill(Number(pid), 'SIGTERM');
          await waitFor('its end', () => !isRunning(Number(pid)));
          terminal.stdin.write('\n');
          await running.ended;
          assert.doesNotMatch((await run(['ls', dir])).stdout, /lock/, 'a clean stop leaves no lock');
          assert.equal(running.lines().at(-1), '0');
        });
      }
    });
  }
});
