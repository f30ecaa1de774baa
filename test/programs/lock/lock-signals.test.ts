import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerClient } from '../../../src/client/client.ts';
import { launchers, type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { isRunning } from '../../support/programs/is-running.ts';
import { killIfThere } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { endOf, noShell, startLock, untilNoneLeft, untilWritten } from './lock-support.ts';
import { connectTo, reference, type Running, skipOf } from '../support.ts';

let broker: RunningBroker;
let client: BrokerClient;
before(async () => {
  broker = await startBroker(reference);
  client = await connectTo(broker);
});

/** The state of a process, such as `S` for one that sleeps, or `T` for one that is stopped. */
function stateOf(pid: number): string {
  return spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
    .stdout.trim()
    .slice(0, 1);
}

/** A command line that nothing else has. */
const marks = (): { mark: string; out: string } => {
  const out = path.join(tempDir(), 'out');
  return { mark: out, out };
};

/** Says that it is there, with its number, and runs on, a child beside it. */
const busy = (out: string, traps = ''): string[] => [
  'sh',
  '-c',
  `${traps} (while :; do sleep 0.1; done; : ${out}) & echo $$ >>${out}; while :; do sleep 0.1; done`,
];

for (const launcher of launchers) {
  describe(`lock on ${launcher.name}`, { skip: skipOf(launcher) || noShell, concurrency: 2 }, () => {
    const lock = (name: string, command: readonly string[], options: readonly string[] = []): Running =>
      startLock(launcher, broker, ['--name', `${launcher.name}/${name}`, ...options], command);
    const exists = async (name: string): Promise<boolean> =>
      (await client.list(`${launcher.name}/${name}`)).entries.length > 0;

    for (const [signal, code] of [
      // As a shell expects it, which sees 130 then and ends its script.
      ['SIGINT', 'SIGINT'],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
      ['SIGQUIT', 131],
    ] as const) {
      it(`${signal} goes to its command's whole group: ends with ${code}, nothing left, free at once`, async () => {
        const { mark, out } = marks();
        const running = lock(signal, busy(out));
        await untilWritten(out);
        running.child.kill(signal);
        assert.equal(await endOf(running), code, running.stderr());
        assert.equal(await exists(signal), false);
        await untilNoneLeft(mark);
      });
    }

    it('ends what its command leaves running when it was ended, even what does not heed the signal', async () => {
      const { mark, out } = marks();
      const running = lock('deaf', [
        'sh',
        '-c',
        `(trap '' TERM; while :; do sleep 0.1; done; : ${out}) & echo $$ >>${out}; wait`,
      ]);
      await untilWritten(out);
      running.child.kill('SIGTERM');
      assert.equal(await endOf(running), 143);
      await untilNoneLeft(mark);
    });

    it('leaves alone what its command leaves running when it ends by itself', async () => {
      const { out } = marks();
      const running = lock('daemon', ['sh', '-c', `sleep 30 >/dev/null 2>&1 & echo $! >>${out}; exit 3`]);
      assert.equal(await endOf(running), 3);
      const pid = Number(await untilWritten(out));
      await sleep(300);
      assert.ok(isRunning(pid));
      killIfThere(pid);
    });

    it('passes on SIGUSR1 and SIGUSR2, and its command decides what it makes of a signal', async () => {
      const { out } = marks();
      const traps = `trap 'echo usr1 >>${out}' USR1; trap 'echo usr2 >>${out}' USR2; trap 'echo int >>${out}' INT; trap 'exit 9' TERM;`;
      const running = lock('usr', ['sh', '-c', `${traps} echo there >>${out}; while :; do sleep 0.05; done`]);
      await untilWritten(out);
      for (const [signal, lines] of [
        ['SIGUSR1', 2],
        ['SIGUSR2', 3],
        ['SIGINT', 4],
        ['SIGINT', 5],
      ] as const) {
        running.child.kill(signal);
        await untilWritten(out, lines);
      }
      assert.equal(readFileSync(out, 'utf8'), 'there\nusr1\nusr2\nint\nint\n');
      assert.ok(await exists('usr'), 'it is held all the while');
      running.child.kill('SIGTERM');
      assert.equal(await endOf(running), 9);
    });

    it('kill -9 of it ends its command and all of its group; the lock is free within its lifetime', async () => {
      const { mark, out } = marks();
      const running = lock('killed', busy(out, "trap '' TERM INT HUP;"), ['--ttl', '2s']);
      await untilWritten(out);
      running.child.kill('SIGKILL');
      const began = performance.now();
      await untilNoneLeft(mark, 5000);
      const next = lock('killed', ['true'], ['--wait']);
      assert.equal(await next.ended, 0);
      assert.ok(performance.now() - began < 2000 + 10_000);
    });

    it('kill -9 of its command shows in its exit code, and the lock is free', async () => {
      const { out } = marks();
      const running = lock('child', ['sh', '-c', `echo $$ >>${out}; while :; do sleep 0.1; done`]);
      process.kill(Number(await untilWritten(out)), 'SIGKILL');
      assert.equal(await endOf(running), 137);
      assert.equal(await exists('child'), false);
    });

    it('a lock that is deleted or replaced is lost: SIGTERM, then SIGKILL, exit code 1, nothing left', async () => {
      for (const change of ['delete', 'replace'] as const) {
        const { mark, out } = marks();
        const traps = `trap 'echo term >>${out}' TERM;`;
        // The loss is noticed at a third of it, and must not be taken for a renewal that came too late.
        const running = lock(change, busy(out, traps), ['--ttl', '12s']);
        await untilWritten(out);
        const name = `${launcher.name}/${change}`;
        if (change === 'delete') await client.delete(name);
        else await client.replace(name, 'another');
        assert.equal(await endOf(running), 1);
        assert.match(
          running.stderr(),
          change === 'delete'
            ? /^Fatal error: Lock '.*' was lost: its entry was deleted, or has expired$/m
            : /^Fatal error: Lock '.*' was lost: its entry was written by another$/m,
        );
        assert.match(readFileSync(out, 'utf8'), /^term$/m);
        assert.equal(await exists(change), change === 'replace', 'the entry of another is left alone');
        await untilNoneLeft(mark);
      }
    });

    it('kills one in the foreground, too, that does not heed SIGTERM when the lock is lost', async () => {
      const { mark, out } = marks();
      const deaf = ['sh', '-c', `trap '' TERM; echo $$ >${out}; while :; do sleep 0.1; done; : ${out}`];
      const running = lock('foreground', deaf, ['--ttl', '4s', '--foreground']);
      const pid = Number(await untilWritten(out));
      await client.delete(`${launcher.name}/foreground`);
      try {
        assert.equal(await endOf(running), 1, running.stderr());
        await untilNoneLeft(mark);
      } finally {
        killIfThere(pid);
      }
    });

    it('a broker that is stopped costs the lock before another can have it', async () => {
      const own = await startBroker(reference);
      const { mark, out } = marks();
      const running = startLock(launcher, own, ['--name', 'x', '--ttl', '8s'], busy(out, "trap '' TERM;"));
      await untilWritten(out);
      process.kill(own.pid, 'SIGSTOP');
      const began = performance.now();
      const code = await endOf(running);
      process.kill(own.pid, 'SIGCONT');
      assert.equal(code, 1, running.stderr());
      assert.match(
        running.stderr(),
        /Fatal error: Lock 'x' was lost: it could not be renewed in time: no answer/i,
      );
      assert.ok(performance.now() - began > 500, 'not at the first renewal that fails');
      await untilNoneLeft(mark);
      await own.kill();
    });

    it('one that was stopped beyond its lifetime ends its command as soon as it continues', async () => {
      const { mark, out } = marks();
      const running = lock('stopped', busy(out), ['--ttl', '2s']);
      await untilWritten(out);
      running.child.kill('SIGSTOP');
      await waitFor('the lock to expire', async () => !(await exists('stopped')), 10_000);
      const other = lock('stopped', ['true']);
      assert.equal(await other.ended, 0);
      running.child.kill('SIGCONT');
      assert.equal(await endOf(running), 1);
      assert.match(running.stderr(), /Lock '.*' was lost: it could not be renewed in time/);
      await untilNoneLeft(mark);
    });

    it('one that was stopped beyond its lifetime fails, too, if its command has ended meanwhile', async () => {
      const out = path.join(tempDir(), 'out');
      const once = `echo $$ >${out}; until [ -e ${out}.go ]; do sleep 0.02; done`;
      const running = lock('gone', ['sh', '-c', once], ['--ttl', '2s']);
      await untilWritten(out);
      running.child.kill('SIGSTOP');
      writeFileSync(`${out}.go`, '');
      await waitFor('the lock to expire', async () => !(await exists('gone')), 10_000);
      running.child.kill('SIGCONT');
      assert.equal(await endOf(running), 1, running.stderr());
      assert.match(running.stderr(), /Lock '.*' was lost: it could not be renewed in time/);
    });

    it('SIGTSTP stops its command with it, SIGCONT has both go on, and kill -9 of it ends one that is stopped', async () => {
      const { mark, out } = marks();
      const running = lock('tstp', ['sh', '-c', `while :; do echo tick; sleep 0.05; done; : ${out}`]);
      const ticks = (): number => running.lines().length;
      await waitFor('it to run', () => ticks() > 2);
      const stop = async (): Promise<void> => {
        running.child.kill('SIGTSTP');
        await waitFor('it to be stopped', () => stateOf(running.child.pid ?? 0) === 'T');
        // What was on its way still comes.
        await sleep(100);
      };
      await stop();
      const stoppedAt = ticks();
      await sleep(300);
      assert.equal(ticks(), stoppedAt);
      running.child.kill('SIGCONT');
      await waitFor('it to go on', () => ticks() > stoppedAt + 2);
      await stop();
      running.child.kill('SIGKILL');
      await untilNoneLeft(mark);
    });
  });
}
