import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerClient } from '../../src/client/client.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import { cleanEnv, launchers, type RunningBroker } from '../support/programs.ts';
import { waitFor } from '../support/wait.ts';
import { brokerWith } from './extension-files.ts';
import { connectTo, reference, skipOf } from './support.ts';

/** What hostile code does in each language. What a language cannot do wrong in that way is left out. */
const script = `
export const Fine = () => 'fine';
export const Throws = () => { throw new Error('thrown'); };
export const Rejects = async () => { setTimeout(() => { throw new Error('thrown later'); }, 10); await new Promise(() => {}); };
export const Loops = () => { for (;;); };
export const Exits = () => process.exit(3);
export const Killed = () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}); };
export const Hangs = () => new Promise(() => {});
export const Floods = async () => { const line = 'x'.repeat(65_535) + '\\n'; for (let i = 0; i < 16_384; i++) await new Promise((done) => process.stderr.write(line, done)); };
export async function* FloodsAnswer() { const line = 'x'.repeat(65_536); for (let i = 0; i < 16_384; i++) yield line; }
export const Eats = () => { const kept = []; for (let i = 0; i < 64; i++) kept.push(Buffer.alloc(64 * 1024 * 1024, 1)); return String(kept.length); };
`;
const python = `
import os, signal, sys, time
def Fine(rh): rh.data = "fine"
def Throws(rh): raise ValueError("thrown")
def Loops(rh):
    while True: pass
def Exits(rh): os._exit(3)
def ExitsPolitely(rh): sys.exit(3)
def Killed(rh): os.kill(os.getpid(), signal.SIGKILL)
def Hangs(rh): time.sleep(3600)
def Floods(rh):
    for i in range(16384): print("x" * 65535)
def FloodsAnswer(rh): rh.data = ("x" * 65536 for i in range(16384))
def Eats(rh):
    kept = [bytearray(b"x") * (64 * 1024 * 1024) for i in range(64)]
    rh.data = str(len(kept))
`;
const shell = `#!/bin/sh
case "$1" in
  Fine) echo fine ;;
  Throws) echo thrown >&2; exit 1 ;;
  Loops) while :; do :; done ;;
  Exits) exit 3 ;;
  Killed) kill -9 $$ ;;
  Hangs) sleep 3600 ;;
  Floods) yes >&2 ;;
  FloodsAnswer) head -c 1073741824 /dev/zero ;;
  Eats) python3 -c 'kept = [bytearray(b"x") * (64 * 1024 * 1024) for i in range(64)]; print(len(kept))' ;;
  Leaves) sleep 5 & echo left ;;
esac
`;

const timedOut = /was stopped: it took longer than its _timeout_secs, 2 s$/;
const tooMuch = /was stopped: it printed more than its _output_mb, 16 MiB$/;
const tooBig = /was stopped: it used more memory than its _memory_mb, 256 MiB$/;

/** What each costs its caller. */
const outcomes: Readonly<Record<string, RegExp>> = {
  Throws: /thrown$/,
  Rejects: /thrown later$/,
  Exits: /ended with exit code 3/,
  ExitsPolitely: /ended with exit code 3/,
  Killed: /was killed \(SIGKILL\)/,
  Loops: timedOut,
  Hangs: timedOut,
  Floods: tooMuch,
  FloodsAnswer: tooMuch,
  Eats: tooBig,
};

const limits = { _timeout_secs: 2, _output_mb: 16, _memory_mb: 256, _concurrency: 2 };
const options = { script: limits, python: limits, shell: limits };
/** One call at a time, and one that waits. */
const single = { ...limits, _concurrency: 1, _queue: 1 };
/** Three rounds print 288 MiB and eat 2 GiB: had the broker kept that, it would be more than heaps grow by at ease. */
const MOST_GROWTH = 128 * 1024 * 1024;
const linux =
  process.platform === 'linux' ? false : 'memory is watched through /proc, and shell scripts are POSIX';

for (const launcher of launchers) {
  describe(`hostile extensions, on ${launcher.name}`, { skip: skipOf(launcher) || linux }, () => {
    let broker: RunningBroker;
    let client: BrokerClient;

    before(async () => {
      // TypeScript, where the runtime takes it.
      const own = launcher.version.startsWith('20.') ? 'script.mjs' : 'script.ts';
      const files = { [own]: script, 'python.py': python, 'shell.sh': shell, 'single.sh': shell };
      broker = await brokerWith(launcher, files, { ...options, single });
      client = await connectTo(broker);
    });
    after(() => broker.kill());

    const run = async (method: string): Promise<string> => (await client.execute(method)).text();

    for (const [language, source] of Object.entries({ script, python, shell })) {
      for (const [method, message] of Object.entries(outcomes)) {
        if (!source.includes(method)) continue;
        it(`${language}: one that ${describeMethod(method)} costs its own call an error, and nothing else`, async () => {
          await assert.rejects(run(`${language}.${method}`), (error: unknown) => {
            assert.ok(error instanceof BrokerError, String(error));
            assert.match(error.message, message);
            assert.equal(error.code, message === timedOut ? 'extension_timeout' : 'extension_failed');
            return true;
          });
          assert.equal((await run(`${language}.Fine`)).trim(), 'fine');
        });
      }
    }

    it('shell: what a program leaves running in the background does not hold up its answer', async () => {
      assert.equal(await run('shell.Leaves'), 'left\n');
    });

    const worst = ['Floods', 'FloodsAnswer', 'Eats', 'Loops'].flatMap((method) =>
      Object.keys(options).map((language) => `${language}.${method}`),
    );

    it('refuses calls when one runs and as many wait as may', async () => {
      const calls = Array.from({ length: 4 }, () => run('single.Hangs'));
      const ends = (await Promise.allSettled(calls)).map((end) =>
        end.status === 'rejected' ? (end.reason as BrokerError).code : end.status,
      );
      // One runs and one waits; whether that one still gets its turn is up to the clock.
      assert.ok(ends.filter((code) => code === 'too_many_requests').length >= 2, ends.join(' '));
      assert.ok(ends.includes('extension_timeout'), ends.join(' '));
      assert.equal((await run('single.Fine')).trim(), 'fine');
    });

    it('keeps its memory while they do their worst, all at once', async (t) => {
      const doTheirWorst = async (): Promise<void> => {
        const statuses = (await Promise.allSettled(worst.map(run))).map(({ status }) => status);
        assert.deepEqual(
          statuses,
          statuses.map(() => 'rejected'),
        );
      };
      // What the first of it takes is the plateau; more of the same must not raise it.
      await doTheirWorst();
      const plateau = memoryOf(broker.pid);
      for (let round = 1; round <= 3; round++) await doTheirWorst();
      let grown = Infinity;
      const settled = async (): Promise<boolean> => {
        // Garbage is collected by those who make some.
        await client.ping('x'.repeat(10_000));
        grown = memoryOf(broker.pid) - plateau;
        return grown < MOST_GROWTH;
      };
      await waitFor('the memory to be what it was', settled).catch(() => undefined);
      t.diagnostic(`memory: ${mib(plateau)} MiB, and then ${mib(grown)} MiB more`);
      assert.ok(grown < MOST_GROWTH, `the broker grew by ${mib(grown)} MiB`);
    });

    it('answers pings while one of them does its worst', async (t) => {
      const ratios: number[] = [];
      for (let round = 1; round <= 5 && !ratios.some((ratio) => ratio < 5); round++) {
        const quiet = await pingUntil(client, () => sleep(1000));
        const busy = await pingUntil(client, async () => {
          for (const method of worst) await executeElsewhere(broker, method);
        });
        ratios.push(busy.p99 / quiet.p99);
        t.diagnostic(
          `p99 of ${busy.count} pings ${busy.p99.toFixed(2)} ms, of ${quiet.count} quiet ones ${quiet.p99.toFixed(2)} ms`,
        );
      }
      // Whatever else this machine does counts too, so one quiet round is enough.
      assert.ok(
        Math.min(...ratios) < 5,
        `p99 of pings rose to ${ratios.map((ratio) => ratio.toFixed(1)).join(', ')} times`,
      );
    });
  });
}

/** In a process of its own, whose output nobody reads: what floods it must not be taken for the broker's slowness. */
async function executeElsewhere({ port, dir }: RunningBroker, method: string): Promise<void> {
  const [file = '', ...words] = reference.bpclient;
  const args = ['--bpbroker', `127.0.0.1:${port}`, 'execute', '--method', method];
  const child = spawn(file, [...words, ...args], { env: cleanEnv(dir), stdio: 'ignore' });
  await once(child, 'exit');
}

/** Pings one after another, 5 ms between, until `work` is done. */
async function pingUntil(
  client: BrokerClient,
  work: () => Promise<unknown>,
): Promise<{ readonly count: number; readonly p99: number }> {
  const times: number[] = [];
  const state = { over: false };
  const done = work().finally(() => (state.over = true));
  while (!state.over) {
    const began = performance.now();
    await client.ping('x');
    times.push(performance.now() - began);
    await sleep(5);
  }
  await done;
  times.sort((a, b) => a - b);
  return { count: times.length, p99: times[Math.floor(times.length * 0.99)] ?? Number.NaN };
}

function mib(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}

function describeMethod(method: string): string {
  return method.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).toLowerCase();
}

function memoryOf(pid: number): number {
  const [, kib] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}
