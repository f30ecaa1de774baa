import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerClient } from '../../../src/client/client.ts';
import type { BrokerError } from '../../../src/protocol/errors.ts';
import { atEnd } from '../../support/cleanup.ts';
import { sendRaw } from '../../support/network/raw.ts';
import { isRunning } from '../../support/programs/is-running.ts';
import { cleanEnv, launchers, type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { killIfThere } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import {
  connectTo,
  freePort,
  reference,
  type Running,
  skipOf,
  start,
  startClient,
  untilLines,
} from '../support.ts';

interface Change {
  readonly type: string;
  readonly name: string;
  readonly revision: number;
  readonly data?: unknown;
}

const changesOf = (lines: readonly string[]): Change[] => lines.map((line) => JSON.parse(line) as Change);

/** Starts a watch, and returns how many lines it had printed when it was seen to run. */
async function startWatch(
  broker: { readonly dir: string; readonly port: number },
  client: BrokerClient,
  args: readonly string[],
  probe: string,
): Promise<{ watch: Running; seen: number }> {
  const watch = startClient(reference, broker, ['service', 'watch', '--quiet', ...args]);
  for (let n = 1; watch.lines().length === 0; n++) {
    assert.equal(watch.child.exitCode, null, watch.stderr());
    await client.replace(probe, `probe ${n}`);
    await sleep(20);
  }
  await client.replace(probe, 'last');
  await waitFor('the last probe', () => changesOf(watch.lines()).some(({ data }) => data === 'last'));
  return { watch, seen: watch.lines().length };
}

/** How many queries of discovery for names that it does not hold have reached a broker. */
async function missesOf({ port }: RunningBroker): Promise<number> {
  const { text } = await sendRaw(port, 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n', { responses: 1 });
  return Number(/^bpbroker_discovery_queries_total\{outcome="not_held"\} (\d+)/m.exec(text)?.[1]);
}

describe('service watch', () => {
  let broker: RunningBroker;
  let client: BrokerClient;
  before(async () => {
    broker = await startBroker(reference);
    client = await connectTo(broker);
  });
  after(() => broker.kill());

  it('without an address, prints the making of the entry by which it finds its broker', async () => {
    const find = ['--port', String(broker.udpPort)];
    const watch = ['service', 'watch', '--count', '1', '--timeout', '30s', ...find];
    const earlier = await missesOf(broker);
    const made = broker.client([...watch, '--name', 'yet-to-come'], { address: false });
    // Two queries for each time that it asks, the last after two seconds. Only after four times or more does it
    // know that there was no entry.
    await waitFor('it to ask again', async () => (await missesOf(broker)) >= earlier + 14, 20_000);
    const entry = await client.register('yet-to-come', 'here');
    const { code, stdout, stderr } = await made;
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      changesOf(stdout.trim().split('\n')).map(({ type, revision, data }) => [type, revision, data]),
      [['put', entry.revision, 'here']],
    );
  });

  it('without an address, begins with the next change of an entry that exists', async () => {
    await client.register('here-already', 'old');
    const home = tempDir();
    const find = ['--port', String(broker.udpPort), '--verbose', '--timeout', '30s'];
    const watch = ['service', 'watch', '--name', 'here-already', ...find];
    const program = start([...reference.bpclient, ...watch], { env: cleanEnv(home), cwd: home });
    await waitFor('it to talk', () => program.stderr().includes('Talking to the broker'));
    for (let n = 1; program.lines().length === 0; n++) {
      assert.equal(program.child.exitCode, null, program.stderr());
      await client.replace('here-already', `new ${n}`);
      await sleep(20);
    }
    assert.match(String(changesOf(program.lines())[0]?.data), /^new/);
    await program.stop();
  });

  it('prints each change under a prefix as a line of JSON, in order', async () => {
    const { watch, seen } = await startWatch(broker, client, ['--prefix', 'web/'], 'web/probe');
    const put = await client.register('web/1', { port: 80 });
    await client.register('other', 'not under the prefix');
    await client.update('web/1', { tls: true });
    await client.delete('web/1');
    await client.delete('web/1');
    await client.register('web/2', 'lines\nof “text”', { ttlMs: 300 });
    const lines = await untilLines(watch, seen + 5);
    const changes = changesOf(lines).slice(seen);
    assert.deepEqual(
      changes.map(({ type, name, data }) => [type, name, data]),
      [
        ['put', 'web/1', { port: 80 }],
        ['put', 'web/1', { port: 80, tls: true }],
        ['delete', 'web/1', undefined],
        ['put', 'web/2', 'lines\nof “text”'],
        ['expire', 'web/2', undefined],
      ],
    );
    assert.equal(
      lines[seen],
      `{"type": "put", "name": "web/1", "revision": ${put.revision}, "data": {"port": 80}, ` +
        `"last_write_ts": ${put.lastWriteTs}, "last_write_ip": "127.0.0.1"}`,
    );
    const revisions = changes.map(({ revision }) => revision);
    assert.deepEqual(
      revisions,
      revisions.toSorted((a, b) => a - b),
    );
    await watch.stop('SIGINT');
    assert.deepEqual([watch.lines().length, watch.stderr()], [seen + 5, '']);
  });

  it('--name watches that one alone, and --timeout ends it with exit code 9', async () => {
    const { watch, seen } = await startWatch(broker, client, ['--name', 'db', '--timeout', '15s'], 'db');
    await client.replace('db2', 'x');
    await client.replace('db/2', 'x');
    await client.replace('db', 'y');
    const [change] = changesOf(await untilLines(watch, seen + 1)).slice(seen);
    assert.deepEqual([change?.name, change?.data], ['db', 'y']);
    assert.equal(await watch.ended, 9);
    assert.equal(watch.lines().length, seen + 1);
  });

  for (const launcher of launchers) {
    const skip = skipOf(launcher) || (process.platform === 'win32' && 'signals are POSIX');
    /** A watch whose command has started a process besides its shell; what it prints are their numbers. */
    const watchWith = async (
      exec: string,
      ...args: string[]
    ): Promise<{ watch: Running; pids: () => number[] }> => {
      const name = `ending/${launcher.name}/${args.length}/${exec.length}`;
      const out = path.join(tempDir(), 'pids');
      const command = `echo $$ >> ${out}; ${exec} & echo $! >> ${out}; wait; wait`;
      const watch = startClient(launcher, broker, [
        'service',
        'watch',
        '--name',
        name,
        ...args,
        '--exec',
        command,
      ]);
      const pids = (): number[] =>
        existsSync(out) ? readFileSync(out, 'utf8').split('\n').filter(Boolean).map(Number) : [];
      await waitFor('the command', async () => {
        if (pids().length === 0) await client.replace(name, `${performance.now()}`);
        return pids().length >= 2;
      });
      // Further events wait for the command: none may be run once the watch is to end.
      for (let n = 0; n < 3; n++) await client.replace(name, `later ${n}`);
      atEnd(() => pids().forEach((pid) => killIfThere(pid)));
      return { watch, pids };
    };

    it(`--exec: what it has started does not outlive the watch, on ${launcher.name}`, { skip }, async () => {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
        const { watch, pids } = await watchWith('sleep 600');
        watch.child.kill(signal);
        const end = await endOf(watch);
        assert.ok(end === signal || end === 128 + constants.signals[signal], `${signal}: ${end}`);
        assert.deepEqual(pids().filter(isRunning), [], signal);
      }
    });

    it(`--exec ends with the time to watch, on ${launcher.name}`, { skip }, async () => {
      // One that does not want to end, too.
      for (const exec of ['sleep 600', `sh -c 'trap "" TERM; sleep 600; sleep 600'`]) {
        const { watch, pids } = await watchWith(exec, '--timeout', '8s');
        assert.equal(await endOf(watch), 9, watch.stderr());
        assert.deepEqual(pids().filter(isRunning), [], exec);
        const last =
          /it was ended, because the time has passed\nFatal error: The time to watch \(8s\) has passed\n$/;
        await waitFor('what it says of it', () => last.test(watch.stderr()));
      }
    });
  }

  it('--exec runs a command for each change; one that fails is noted, and the watch goes on', async () => {
    const out = path.join(tempDir(), 'out');
    const command = `{ echo "$BPBROKER_EVENT_TYPE $BPBROKER_EVENT_NAME $BPBROKER_EVENT_REVISION"; cat; } >> ${out}; echo noise; exit 3`;
    const watch = startClient(reference, broker, ['service', 'watch', '--name', 'hook', '--exec', command]);
    const executed = (): string[] => readFileSync(out, 'utf8').trimEnd().split('\n');
    await waitFor('the watch to be open', async () => {
      await client.replace('hook', 'probe');
      return existsSync(out);
    });
    const { revision } = await client.replace('hook', { port: 1 });
    await client.delete('hook');
    // The last that the second command writes: its input.
    await waitFor('both commands', () => executed().some((line) => line.includes('"type": "delete"')));
    await waitFor('both lines', () => watch.lines().some((line) => line.includes('"delete"')));
    const at = executed().indexOf(`put hook ${revision}`);
    const printed = watch.lines();
    assert.notEqual(at, -1);
    assert.deepEqual(executed().slice(at), [
      `put hook ${revision}`,
      printed.at(-2),
      `delete hook ${revision + 1}`,
      printed.at(-1),
    ]);
    const failed = new RegExp(`^Command '.*' failed at revision ${revision}: exit code 3$`, 'm');
    await waitFor('the note', () => failed.test(watch.stderr()));
    assert.equal(printed.length, changesOf(printed).length, 'what the command prints is not among the lines');
    assert.match(watch.stderr(), /^noise$/m);
    assert.equal(watch.child.exitCode, null);
    await watch.stop('SIGINT');
  });
});

/** Makes each change once, whatever becomes of the broker: who is not answered asks again. */
async function writeThrough(
  client: BrokerClient,
  count: number,
  onWritten: (n: number) => void,
): Promise<void> {
  const until = async (work: () => Promise<unknown>): Promise<void> => {
    for (;;) {
      try {
        await work();
        return;
      } catch (error) {
        const { code } = error as BrokerError;
        // The attempt before this one was made durable, although its answer was lost.
        if (code === 'already_exists') return;
        if (code !== 'unreachable' && code !== 'unavailable') throw error;
        await sleep(10);
      }
    }
  };
  for (let n = 0; n < count; n++) {
    await until(() => client.register(`w/${n}`, `change ${n}`));
    if (n % 3 === 0) await until(() => client.delete(`w/${n}`));
    onWritten(n);
  }
}

describe('service watch, where the broker has gone', () => {
  it('ends with exit code 9 when the time is up', async () => {
    const broker = await startBroker(reference);
    const client = await connectTo(broker);
    const { watch, seen } = await startWatch(broker, client, ['--prefix', '', '--timeout', '15s'], 'probe');
    await broker.kill();
    assert.equal(await watch.ended, 9, watch.stderr());
    assert.match(
      watch.stderr(),
      /^Fatal error: The time to watch \(15s\) has passed: No broker reached at \S+: connection refused\n$/,
    );
    assert.equal(watch.lines().length, seen);
  });
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  describe(`service watch, while the broker is restarted by ${signal}`, () => {
    it('loses, doubles and reorders nothing', async () => {
      const count = 225;
      const restarts = 5;
      const port = await freePort();
      let broker = await startBroker(reference, { config: { api: { listen_port: port } } });
      const { dir } = broker;
      const client = await connectTo(broker);
      const { watch, seen } = await startWatch(broker, client, ['--prefix', 'w/'], 'w/probe');
      let written = 0;
      const writing = writeThrough(client, count, (n) => (written = n));
      for (let n = 1; n <= restarts; n++) {
        await waitFor('some changes', () => written >= (n * count) / (restarts + 1));
        if (signal === 'SIGTERM') await broker.stop();
        else await broker.kill();
        broker = await startBroker(reference, { dir });
      }
      await writing;
      const expected = Array.from({ length: count }, (_, n) =>
        n % 3 === 0 ? [`put w/${n}`, `delete w/${n}`] : [`put w/${n}`],
      ).flat();
      await untilLines(watch, seen + expected.length, 15_000);
      await watch.stop('SIGINT');
      const changes = changesOf(watch.lines()).slice(seen);
      assert.deepEqual(
        changes.map(({ type, name }) => `${type} ${name}`),
        expected,
      );
      await broker.kill();
    });
  });
}

/** What a program ended with, whatever still holds its output. */
function endOf({ child }: Running): Promise<number | string> {
  return waitFor('the end', () => child.exitCode ?? child.signalCode ?? undefined, 30_000);
}
