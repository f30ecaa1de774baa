import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerClient } from '../../../src/client/client.ts';
import { BrokerError } from '../../../src/protocol/errors.ts';
import { root, tool } from '../../../build/root.ts';
import { cleanEnv, launchers, type RunningBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { brokerWith } from './extension-files.ts';
import { connectTo, follow, reference, skipOf } from '../support.ts';

/** What hostile code does in each language. What a language cannot do wrong in that way is left out. */
const script = `
export const Fine = () => 'fine';
export const Throws = () => { throw new Error('thrown'); };
export const Rejects = async () => { setTimeout(() => { throw new Error('thrown later'); }, 10); await new Promise(() => {}); };
export const FailsTwice = async () => { for (const word of ['thrown later', 'and once more']) setTimeout(() => { throw new Error(word); }, 10); await new Promise(() => {}); };
export const Loops = () => { for (;;); };
export const Exits = () => process.exit(3);
export const Killed = () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}); };
export const Hangs = () => new Promise(() => {});
export const Floods = async () => { const line = 'x'.repeat(65_535) + '\\n'; for (let i = 0; i < 16_384; i++) await new Promise((done) => process.stderr.write(line, done)); };
export const FloodsLines = async () => { const lines = '\\n'.repeat(65_536); for (let i = 0; i < 16_384; i++) await new Promise((done) => process.stderr.write(lines, done)); };
export const Asks = async ({ registry }) => { await registry.replace('big', 'x'.repeat(900_000), { ttlMs: 60_000 }); await registry.replace('page', 'x'.repeat(50_000)); ask(registry, 5_000); await new Promise((done) => setTimeout(done, 10)); for (;;); };
export const AsksTooMuch = async ({ registry }) => { ask(registry, 20_000); await new Promise(() => {}); };
function ask(registry, times) { for (let i = 0; i < times; i++) (i % 2 ? registry.get('big') : registry.list('page')).catch(() => {}); }
export const GoesOn = ({ log }) => { setInterval(() => { for (let i = 0; i < 1000; i++) log.info('x'.repeat(100)); }, 10); return 'ok'; };
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
def FloodsLines(rh):
    for i in range(16384): os.write(2, b"\\n" * 65536)
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
  FailsTwice: /thrown later$/,
  Exits: /ended with exit code 3/,
  ExitsPolitely: /ended with exit code 3/,
  Killed: /was killed \(SIGKILL\)/,
  Loops: timedOut,
  Hangs: timedOut,
  Floods: tooMuch,
  FloodsLines: tooMuch,
  Asks: timedOut,
  AsksTooMuch: /was stopped: 10000 of its questions to the broker have no answer yet/,
  FloodsAnswer: tooMuch,
  Eats: tooBig,
};

// Long: on a busy machine those that flood or eat must meet their own limit first.
const limits = { _timeout_secs: 60, _output_mb: 16, _memory_mb: 256, _concurrency: 2 };
const options = { script: limits, python: limits, shell: limits };
/** The same extensions again, for calls that only their time ends. */
const brief = { ...limits, _timeout_secs: 2 };
const briefOptions = { brief_script: brief, brief_python: brief, brief_shell: brief };
/** One call at a time, and one that waits. */
const single = { ...brief, _concurrency: 1, _queue: 1 };
/** One that may print little. */
const starter = { ...limits, _output_mb: 1 };
/** Three rounds print 384 MiB and eat 2 GiB: had the broker kept that, it would be more than heaps grow by at ease. */
const MOST_GROWTH = 128 * 1024 * 1024;
/** The module of `language` that `method` is called of. */
const moduleFor = (language: string, method: string): string =>
  outcomes[method] === timedOut ? `brief_${language}` : language;
const linux =
  process.platform === 'linux' ? false : 'memory is watched through /proc, and shell scripts are POSIX';

for (const launcher of launchers) {
  describe(`hostile extensions, on ${launcher.name}`, { skip: skipOf(launcher) || linux }, () => {
    let broker: RunningBroker;
    let client: BrokerClient;

    before(async () => {
      // TypeScript, where the runtime takes it.
      const own = launcher.version.startsWith('20.') ? 'script.mjs' : 'script.ts';
      const files = { [own]: script, 'python.py': python, 'shell.sh': shell };
      const again = Object.entries(files).map(([file, source]) => [`brief_${file}`, source]);
      const all = { ...files, ...Object.fromEntries(again), 'single.sh': shell, 'starter.mjs': script };
      broker = await brokerWith(launcher, all, { ...options, ...briefOptions, single, starter });
      client = await connectTo(broker);
    });
    after(() => broker.kill());

    const run = async (method: string): Promise<string> => (await client.execute(method)).text();
    /** A new process must start for it, which a busy machine may give more time than the call has. */
    const answersAgain = (module: string): Promise<unknown> =>
      waitFor(`${module} to answer again`, async () => (await run(`${module}.Fine`)).trim() === 'fine');

    for (const [language, source] of Object.entries({ script, python, shell })) {
      for (const [method, message] of Object.entries(outcomes)) {
        if (!source.includes(method)) continue;
        it(`${language}: one that ${describeMethod(method)} costs its own call an error, and nothing else`, async () => {
          const called = moduleFor(language, method);
          await assert.rejects(run(`${called}.${method}`), (error: unknown) => {
            assert.ok(error instanceof BrokerError, String(error));
            assert.match(error.message, message);
            assert.equal(error.code, message === timedOut ? 'extension_timeout' : 'extension_failed');
            return true;
          });
          await answersAgain(called);
        });
      }
    }

    it('shell: what a program leaves running in the background does not hold up its answer', async () => {
      assert.equal(await run('shell.Leaves'), 'left\n');
    });

    it('what one asks the broker and does not read takes none of its memory', async () => {
      const atRest = memoryOf(broker.pid);
      let most = atRest;
      const over = run('brief_script.Asks').catch((error: unknown) => error);
      const state = { over: false };
      void over.then(() => (state.over = true));
      while (!state.over) {
        most = Math.max(most, memoryOf(broker.pid));
        await sleep(20);
      }
      assert.match(String(await over), timedOut);
      assert.ok(most - atRest < MOST_GROWTH, `the broker grew by ${mib(most - atRest)} MiB`);
    });

    it('one that goes on after its answer is ended, and fills no log', async () => {
      const lines = (): number => broker.stderr().split('extension log').length - 1;
      const earlier = lines();
      assert.equal(await run('starter.GoesOn'), 'ok');
      await waitFor('its end', () => /extension host ended: it printed more/.test(broker.stderr()));
      assert.ok(lines() - earlier <= 1000, `it wrote ${lines() - earlier} lines`);
      await answersAgain('starter');
    });

    const sources = { script, python, shell };
    const worst = ['Floods', 'FloodsLines', 'FloodsAnswer', 'Eats', 'Loops', 'Asks'].flatMap((method) =>
      Object.entries(sources)
        .filter(([, source]) => source.includes(method))
        .map(([language]) => `${moduleFor(language, method)}.${method}`),
    );

    it('refuses calls when one runs and as many wait as may', async () => {
      const calls = Array.from({ length: 4 }, () => run('single.Hangs'));
      const ends = (await Promise.allSettled(calls)).map((end) =>
        end.status === 'rejected' ? (end.reason as BrokerError).code : end.status,
      );
      // One runs and one waits; whether that one still gets its turn is up to the clock.
      assert.ok(ends.filter((code) => code === 'too_many_requests').length >= 2, ends.join(' '));
      assert.ok(ends.includes('extension_timeout'), ends.join(' '));
      await answersAgain('single');
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
        // A runtime collects garbage only when it makes some.
        await client.ping('x'.repeat(10_000));
        grown = memoryOf(broker.pid) - plateau;
        return grown < MOST_GROWTH;
      };
      await waitFor('the memory to be what it was', settled).catch(() => undefined);
      t.diagnostic(`memory: ${mib(plateau)} MiB, and then ${mib(grown)} MiB more`);
      assert.ok(grown < MOST_GROWTH, `the broker grew by ${mib(grown)} MiB`);
    });

    it('answers pings while one of them does its worst', async (t) => {
      for (const method of worst) {
        const seen = await untilUnheld(broker.pid, client, () => executeElsewhere(broker, method));
        t.diagnostic(`${method}: ${seen.map(describePings).join('; ')}`);
        assert.equal(seen.at(-1)?.held, false, `${method} held up the broker: ${describePings(seen.at(-1))}`);
      }
    });
  });
}

describe('hostile code inside a broker', { skip: linux }, () => {
  it('is seen to hold it up: the measure of pings can fail', async (t) => {
    const child = spawn(tool('node'), ['--input-type=module', '--eval', embedding], {
      cwd: root,
      env: cleanEnv(tempDir(), { BROKER_DIR: tempDir() }),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { stdout } = follow(child);
    await waitFor('the address', () => stdout().endsWith('\n'));
    const { port, fingerprint } = JSON.parse(stdout()) as { port: number; fingerprint: string };
    const [client, caller] = [
      await connectTo({ dir: tempDir(), port, fingerprint }),
      await connectTo({ dir: tempDir(), port, fingerprint }),
    ];
    const seen = await untilUnheld(child.pid ?? 0, client, () => caller.call('own', 'Loops'));
    t.diagnostic(seen.map(describePings).join('; '));
    assert.ok(seen.every(({ held }) => held));
  });
});

/** A broker within whose own process a module loops, for as long as an extension may. */
const embedding = `
import { createBroker } from './src/index.ts';
const Loops = () => { for (const until = performance.now() + ${brief._timeout_secs * 1000}; performance.now() < until;); return { body: '{}', contentType: 'application/json' }; };
const broker = await createBroker({ dir: process.env.BROKER_DIR, config: { api: { listen_port: 0 }, own: {} }, modules: { own: { call: async () => Loops() } } });
const { port, fingerprint } = await broker.listen();
console.log(JSON.stringify({ port, fingerprint }));
`;

/** In a process of its own, whose output nobody reads: what floods it must not be taken for the broker's slowness. */
async function executeElsewhere({ port, dir }: RunningBroker, method: string): Promise<void> {
  const [file = '', ...words] = reference.bpclient;
  const args = ['--bpbroker', `127.0.0.1:${port}`, 'execute', '--method', method];
  const child = spawn(file, [...words, ...args], { env: cleanEnv(dir), stdio: 'ignore' });
  await once(child, 'exit');
}

/** What became of a broker during a call. Times are in milliseconds. */
interface Pings {
  readonly count: number;
  readonly longest: number;
  /** What the broker's process itself has computed. */
  readonly cpu: number;
  /** Whether the call kept the broker from its other work. */
  readonly held: boolean;
}

/**
 * Half the time that a hostile call may take. A broker that runs it, or waits for it, is away for all of that time, and
 * computes for as long. Others on this machine can take a processor from it for some milliseconds, not for this long, and
 * what they compute does not count as its own.
 */
const HELD_MS = (brief._timeout_secs * 1000) / 2;

/** Does the work up to three times, until it has not held up the broker: the unrest of a machine is not there each time. */
async function untilUnheld(
  pid: number,
  client: BrokerClient,
  work: () => Promise<unknown>,
): Promise<Pings[]> {
  const seen: Pings[] = [];
  while (seen.length < 3 && seen.at(-1)?.held !== false) seen.push(await pingDuring(pid, client, work));
  return seen;
}

/** Pings one after another, 5 ms between, until `work` is done. */
async function pingDuring(pid: number, client: BrokerClient, work: () => Promise<unknown>): Promise<Pings> {
  await client.ping('x');
  const times: number[] = [];
  const state = { over: false };
  const cpuBefore = cpuOf(pid);
  const done = work().finally(() => (state.over = true));
  while (!state.over) {
    const began = performance.now();
    await client.ping('x');
    times.push(performance.now() - began);
    await sleep(5);
  }
  await done;
  const cpu = cpuOf(pid) - cpuBefore;
  const longest = Math.max(...times);
  return { count: times.length, longest, cpu, held: longest >= HELD_MS || cpu >= HELD_MS };
}

function describePings(pings: Pings | undefined): string {
  if (!pings) return 'none';
  const { count, longest, cpu } = pings;
  return `${count} pings, the longest ${longest.toFixed(1)} ms, ${cpu} ms of the broker's processor time`;
}

/** The processor time of a process itself in milliseconds; Linux counts in hundredths of a second. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
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
