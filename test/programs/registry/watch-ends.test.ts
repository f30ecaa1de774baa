import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BrokerClient } from '../../../src/client/client.ts';
import { atEnd } from '../../support/cleanup.ts';
import { isRunning } from '../../support/programs/is-running.ts';
import {
  cleanEnv,
  type Launcher,
  launchers,
  type RunningBroker,
  startBroker,
} from '../../support/programs/programs.ts';
import { killIfThere } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { endOf, untilWritten } from '../lock/lock-support.ts';
import { connectTo, freePort, reference, skipOf, type Running, follow, startClient } from '../support.ts';

const isLinux = process.platform === 'linux';

describe('service watch, where it begins and ends', () => {
  let broker: RunningBroker;
  let client: BrokerClient;
  before(async () => {
    broker = await startBroker(reference);
    client = await connectTo(broker);
  });
  after(() => broker.kill());

  const watch = (launcher: Launcher, ...args: string[]): Running =>
    startClient(launcher, broker, ['service', 'watch', '--quiet', ...args]);
  const names = ({ lines }: Running): string[] =>
    lines().map((line) => {
      const { type, name = '' } = JSON.parse(line) as { type: string; name?: string };
      return `${type} ${name}`;
    });

  for (const launcher of launchers) {
    const skip = skipOf(launcher);
    const own = (name: string): string => `${launcher.name}/${name}`;

    it(
      `--initial: what exists first, in the order of its last writes, then changes; --count ends it: ${launcher.name}`,
      { skip },
      async () => {
        for (const name of ['b', 'a', 'c', 'gone']) await client.register(own(name), 'x');
        await client.replace(own('b'), 'again');
        await client.delete(own('gone'));
        const begun = watch(launcher, '--prefix', own(''), '--initial', '--count', '4');
        await waitFor('what exists', () => begun.lines().length === 3);
        await client.delete(own('a'));
        assert.equal(await begun.ended, 0, begun.stderr());
        assert.deepEqual(names(begun), [
          `put ${own('a')}`,
          `put ${own('c')}`,
          `put ${own('b')}`,
          `delete ${own('a')}`,
        ]);
      },
    );

    it(
      `--after goes on behind a revision, and says where that cannot be: ${launcher.name}`,
      { skip },
      async () => {
        const { revision } = await client.replace(own('after'), '1');
        await client.replace(own('after'), '2');
        await client.delete(own('after'));
        const resumed = watch(launcher, '--name', own('after'), '--after', String(revision), '--count', '2');
        assert.equal(await resumed.ended, 0, resumed.stderr());
        assert.deepEqual(names(resumed), [`put ${own('after')}`, `delete ${own('after')}`]);
        await client.replace(own('after'), '3');
        const future = watch(launcher, '--name', own('after'), '--after', '999999', '--count', '1');
        assert.equal(await future.ended, 0, future.stderr());
        assert.deepEqual(names(future), ['reset ', `put ${own('after')}`]);
      },
    );

    const noShell = isLinux ? false : 'only Linux tells every runtime that the reader of a pipe has gone';
    describe(
      `whose reader has gone, without a change that would tell: ${launcher.name}`,
      { skip: skip || noShell },
      () => {
        const piped = (script: string, port: number, ...args: string[]): Running => {
          const home = path.join(broker.dir, 'client');
          mkdirSync(home, { recursive: true });
          const command = [
            ...launcher.bpclient,
            '--bpbroker',
            `127.0.0.1:${port}`,
            'service',
            'watch',
            ...args,
          ];
          const child = spawn('bash', ['-c', `set -o pipefail; ${script}`, 'bash', ...command], {
            cwd: home,
            env: cleanEnv(home),
            stdio: ['ignore', 'pipe', 'pipe'],
          });
          return follow(child);
        };

        it('ends with exit code 0', async () => {
          await client.replace(own('head'), 'x');
          const run = piped('"$@" | head -1', broker.port, '--name', own('head'), '--initial', '--quiet');
          assert.equal(await ended(run), 0, run.stderr());
          assert.deepEqual([names(run), run.stderr()], [[`put ${own('head')}`], '']);
        });

        it('ends while it looks for its broker', async () => {
          const run = piped('"$@" | true', await freePort(), '--name', 'x', '--quiet');
          assert.equal(await ended(run), 0, run.stderr());
        });

        it('ends its command with it', async () => {
          const out = path.join(tempDir(), 'pid');
          await client.replace(own('exec'), 'x');
          const exec = `echo $$ > ${out}; sleep 600`;
          // The reader goes once the command runs, not before.
          const run = piped(
            `"$@" | { head -1; until [ -s ${out} ]; do sleep 0.05; done; }`,
            broker.port,
            '--name',
            own('exec'),
            '--initial',
            '--exec',
            exec,
          );
          atEnd(() => existsSync(out) && killIfThere(Number(readFileSync(out, 'utf8'))));
          assert.equal(await ended(run), 0, run.stderr());
          const pid = Number(readFileSync(out, 'utf8'));
          assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
          await waitFor('the note', () =>
            run.stderr().endsWith('it was ended, because the reader of the output has gone\n'),
          );
        });

        it('ends its command before it ends itself, also at a second signal', async () => {
          const out = path.join(tempDir(), 'pid');
          await client.replace(own('twice'), 'x');
          const deaf = `trap '' TERM; echo $$ > ${out}; while :; do sleep 0.1; done`;
          const run = watch(launcher, '--name', own('twice'), '--initial', '--exec', deaf);
          const pid = Number(await untilWritten(out));
          atEnd(() => killIfThere(pid));
          run.child.kill('SIGTERM');
          await new Promise((resolve) => setTimeout(resolve, 200));
          run.child.kill('SIGTERM');
          const end = await endOf(run);
          assert.ok(end === 'SIGTERM' || end === 143, String(end));
          assert.equal(isRunning(pid), false);
        });

        it('does not end as long as somebody reads', async () => {
          const name = own('slow');
          await client.replace(name, 'one');
          const run = piped(
            '"$@" | { sleep 1; cat; }',
            broker.port,
            '--name',
            name,
            '--initial',
            '--count',
            '2',
            '--quiet',
          );
          await waitFor('the first line', () => run.lines().length === 1);
          await client.replace(name, 'two');
          assert.equal(await ended(run), 0, run.stderr());
          assert.equal(run.lines().length, 2);
        });
      },
    );
  }
});

async function ended(run: Running): Promise<number | NodeJS.Signals> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`It still runs: ${run.stderr()}`)), 30_000).unref();
  });
  return Promise.race([run.ended, late]);
}
