import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerError } from '../../../src/protocol/errors.ts';
import { atEnd } from '../../support/cleanup.ts';
import { joinSockets } from '../../support/network/join-sockets.ts';
import { cleanEnv, launchers, type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import {
  connectTo,
  freePort,
  median,
  reference,
  type Running,
  skipOf,
  start,
  startClient,
} from '../support.ts';

/** Until a client with `--verbose` says that it talks to its broker, and a little longer, for its request to arrive. */
async function untilTalking(client: Running): Promise<void> {
  await waitFor('the client to talk', () => client.stderr().includes('Talking to the broker'));
  await sleep(100);
}

for (const launcher of launchers) {
  describe(`a client that waits, on ${launcher.name}`, { skip: skipOf(launcher), concurrency: 3 }, () => {
    it('gets the entry when it comes: the broker starts late, and again in between', async () => {
      const dir = tempDir();
      const port = await freePort();
      const get = startClient(launcher, { dir, port }, [
        'service',
        'get',
        '--name',
        'late',
        '--wait',
        '--timeout',
        '30s',
        '--verbose',
      ]);
      await untilTalking(get);
      const config = { api: { listen_port: port } };
      const first = await startBroker(reference, { dir, config });
      await waitFor('first contact', () => get.stderr().includes('First contact'));
      await first.stop();
      const second = await startBroker(reference, { dir });
      assert.equal(
        (await second.client(['service', 'register', '--name', 'late', '--data', 'at last'])).code,
        0,
      );
      assert.equal(await get.ended, 0, get.stderr());
      assert.equal(get.stdout(), 'at last\n');
      await second.kill();
    });

    it('ends at once on SIGINT, and with exit code 9 when the time is up', async () => {
      const broker = await startBroker(reference);
      const wait = ['service', 'get', '--name', 'never', '--wait', '--verbose'];
      const interrupted = startClient(launcher, broker, wait);
      const late = startClient(launcher, broker, [...wait, '--timeout', '3s']);
      await untilTalking(interrupted);
      const began = performance.now();
      const end = await interrupted.stop('SIGINT');
      assert.ok(end === 'SIGINT' || end === 130, String(end));
      assert.ok(performance.now() - began < 5000);
      assert.equal(interrupted.stdout(), '');
      assert.equal(await late.ended, 9, late.stderr());
      assert.match(
        late.stderr(),
        /\nFatal error: Gave up waiting for entry 'never' after [\d.]+ m?s(?:: .*)?\n$/,
      );
      assert.equal(late.stdout(), '');
      await broker.kill();
    });

    it('heeds --timeout where a host takes the connection and then keeps silent', async () => {
      const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
      atEnd(() => server.close());
      await once(server, 'listening');
      const at = { dir: tempDir(), port: (server.address() as AddressInfo).port };
      const pin = ['--fingerprint', `sha256:${'0'.repeat(64)}`];
      const get = ['service', 'get', '--name', 'x', '--timeout', '300ms'];
      const expected: [readonly string[], number][] = [
        [get, 6],
        [[...get, ...pin], 6],
        [[...get, '--wait'], 9],
        [[...get, '--wait', ...pin], 9],
      ];
      const clients = expected.map(([args, code]) => ({
        args,
        code,
        client: startClient(launcher, at, args),
      }));
      await waitFor('all to end', () => clients.every(({ client }) => client.child.exitCode !== null));
      for (const { args, code, client } of clients)
        assert.equal(await client.ended, code, `${args.join(' ')}: ${client.stderr()}`);
    });
  });
}

describe('waiting', () => {
  it('--timeout ends it too where no broker runs', async () => {
    const port = await freePort();
    // Long enough for a first attempt on a busy machine: only that has a cause to tell.
    const wait = ['--wait', '--timeout', '3s'];
    const get = startClient(reference, { dir: tempDir(), port }, ['service', 'get', '--name', 'x', ...wait]);
    assert.equal(await get.ended, 9, get.stderr());
    assert.equal(get.stdout(), '');
    assert.match(
      get.stderr(),
      /^Fatal error: Gave up waiting for the broker after [\d.]+ m?s: No broker reached at [^\n]*: connection refused\n$/,
    );
  });

  it('list --wait-count lets everyone go when the last one has come', async () => {
    const broker = await startBroker(reference);
    const list = ['service', 'list', '--prefix', 'node/', '--wait-count', '5'];
    const waiting = [1, 2, 3].map(() =>
      startClient(reference, broker, [...list, '--verbose', '--timeout', '30s']),
    );
    const short = startClient(reference, broker, [...list, '--timeout', '500ms']);
    await Promise.all(waiting.map(untilTalking));
    const client = await connectTo(broker);
    await client.register('node', 'not under the prefix');
    for (const n of [1, 2, 3, 4]) await client.register(`node/${n}`, `host ${n}`);
    assert.equal(await short.ended, 9, short.stderr());
    assert.equal(short.stdout(), '');
    assert.ok(waiting.every(({ child }) => child.exitCode === null));
    await client.register('node/5', 'host 5');
    for (const one of waiting) {
      assert.equal(await one.ended, 0, one.stderr());
      assert.deepEqual(
        one.lines(),
        [1, 2, 3, 4, 5].map((n) => `node/${n}\thost ${n}`),
      );
    }
    const { stdout } = await broker.client([...list, '--format', 'json', '--cols', 'name']);
    assert.deepEqual(
      JSON.parse(stdout),
      [1, 2, 3, 4, 5].map((n) => ({ name: `node/${n}` })),
    );
    await broker.kill();
  });

  it('list --count prints the number alone, also at the end of a wait', async () => {
    const broker = await startBroker(reference);
    const list = ['service', 'list', '--prefix', 'node/', '--count'];
    const prints = async (...args: string[]): Promise<string> =>
      (await broker.client([...list, ...args])).stdout;
    assert.equal(await prints(), '0\n');
    const waiting = startClient(reference, broker, [
      ...list,
      '--wait-count',
      '2',
      '--timeout',
      '30s',
      '--verbose',
    ]);
    await untilTalking(waiting);
    const client = await connectTo(broker);
    await client.register('node/1', 'x');
    const last = await client.register('node/2', 'x');
    assert.equal(await waiting.ended, 0, waiting.stderr());
    assert.equal(waiting.stdout(), '2\n');
    assert.equal(await prints('--format', 'json'), '2\n');
    assert.equal(await prints('--format', 'csv'), 'count\n2\n');
    assert.equal(await prints('--format', 'csv-noheader', '--wait-count', '1'), '2\n');
    assert.deepEqual(await client.count('node/'), { count: 2, revision: last.revision });
    const { count, revision } = await client.waitForCount(2, 'node/');
    assert.deepEqual([count, revision], [2, last.revision]);
    const { entries } = await client.waitForCount(1, 'node/', { entries: true });
    assert.deepEqual(
      entries.map(({ name }) => name),
      ['node/1', 'node/2'],
    );
    await broker.kill();
  });

  it('discover --wait finds the broker when the name is registered', async () => {
    const broker = await startBroker(reference);
    const discover = ['discover', '--name', 'cluster', '--wait', '--port', String(broker.udpPort)];
    const late = await broker.client([...discover, '--timeout', '400ms'], { address: false });
    assert.deepEqual([late.code, late.stdout], [9, ''], late.stderr);
    const found = broker.client(discover, { address: false });
    await sleep(300);
    await (await connectTo(broker)).register('cluster', 'x');
    const { code, stdout, stderr } = await found;
    assert.deepEqual([code, stdout, stderr], [0, `127.0.0.1:${broker.port}\n`, '']);
    await broker.kill();
  });
});

describe('discover with a name that was met before', () => {
  /** Somebody answers on UDP, at a port where nobody listens on TCP yet. */
  async function answering(): Promise<{ readonly port: number; readonly dir: string; queries(): number }> {
    const port = await freePort();
    const dir = tempDir();
    let queries = 0;
    const socket = createSocket('udp4', (_, { port: to, address }) => {
      queries += 1;
      socket.send('Key Exists\n', to, address);
    });
    socket.bind(port, '127.0.0.1');
    atEnd(() => socket.close());
    await once(socket, 'listening');
    return { port, dir, queries: () => queries };
  }
  const keep = (home: string, identity: string): void => {
    const folder = path.join(home, 'config', 'bpbroker');
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, 'known_brokers'), `name=cluster ${identity}\n`);
  };
  const discover = (port: number, ...args: string[]): string[] =>
    ['discover', '--name', 'cluster', '--port', String(port)].concat(args);
  const startIn = (home: string, args: readonly string[]): Running =>
    start([...reference.bpclient, ...args], { env: cleanEnv(home), cwd: home });

  it('waits with --wait until its identity can be seen, and ends with 9', async () => {
    const { port, dir, queries } = await answering();
    keep(dir, `sha256:${'0'.repeat(64)}`);
    const short = startIn(dir, discover(port, '--wait', '--timeout', '5s'));
    assert.equal(await short.ended, 9, short.stderr());
    assert.match(
      short.stderr(),
      /Fatal error: Gave up waiting for a broker that holds 'cluster' after [\d.]+ m?s: No broker reached at .*refused\n$/,
    );
    assert.equal(short.stdout(), '');
    const impatient = startIn(dir, discover(port));
    assert.equal(await impatient.ended, 6, impatient.stderr());

    const home = tempDir();
    const broker = await startBroker(reference);
    keep(home, broker.fingerprint);
    const asked = queries();
    const long = startIn(home, discover(port, '--wait'));
    await waitFor('a second search', () => queries() > asked + 2);
    const proxy = createServer((incoming) => {
      joinSockets(incoming, connectTcp(broker.port, '127.0.0.1'));
    }).listen(port, '127.0.0.1');
    atEnd(() => proxy.close());
    assert.equal(await long.ended, 0, long.stderr());
    assert.equal(long.stdout(), `127.0.0.1:${port}\n`);
    await broker.kill();
  });

  it('heeds --timeout where a host takes the connection and then keeps silent', async () => {
    const { port, dir } = await answering();
    keep(dir, `sha256:${'0'.repeat(64)}`);
    const silent = createServer((socket) => socket.on('error', () => undefined)).listen(port, '127.0.0.1');
    atEnd(() => silent.close());
    await once(silent, 'listening');
    const programs = [[], ['--timeout', '600ms'], ['--timeout', '600ms', '--wait']].map(async (args) => {
      const program = startIn(dir, discover(port, ...args));
      return [await program.ended, program.stderr()];
    });
    const [patient, short, waits] = await Promise.all(programs);
    assert.deepEqual([patient?.[0], short?.[0], waits?.[0]], [6, 6, 9], `${short?.[1]}${waits?.[1]}`);
    assert.match(String(patient?.[1]), /: the connection timed out\n$/, 'it does not check for ever');
  });
});

describe('many clients', () => {
  const manyClients = (
    broker: RunningBroker,
    count: number,
  ): ReturnType<typeof Promise.all<ReturnType<typeof connectTo>[]>> =>
    Promise.all(Array.from({ length: count }, () => connectTo(broker)));

  it('one register releases all of 100 that wait', async (t) => {
    const broker = await startBroker(reference);
    const clients = await manyClients(broker, 100);
    const released: number[] = [];
    let began = Infinity;
    const waits = clients.map(async (client) => {
      const { data } = await client.waitFor('go', { timeoutMs: 20_000 });
      released.push(performance.now() - began);
      return data;
    });
    const writer = await connectTo(broker);
    // Their polls have arrived when each of their connections has been answered once after them.
    await Promise.all(clients.map((client) => client.ping()));
    await sleep(200);
    assert.equal(released.length, 0);
    began = performance.now();
    await writer.register('go', { port: 1 });
    assert.deepEqual(
      await Promise.all(waits),
      clients.map(() => ({ port: 1 })),
    );
    t.diagnostic(
      `100 waiting clients: released after ${median(released).toFixed(0)} ms (median), ${Math.max(...released).toFixed(0)} ms (last)`,
    );
    for (const client of clients) client.close();
    await broker.kill();
  });

  it('exactly one of 200 that register a name at once wins', async () => {
    const broker = await startBroker(reference);
    const clients = await manyClients(broker, 200);
    await Promise.all(clients.map((client) => client.ping()));
    const outcomes = await Promise.all(
      clients.map((client, n) =>
        client.register('leader', `client ${n}`).then(
          ({ data }) => data,
          (error: BrokerError) => error.code,
        ),
      ),
    );
    const winners = outcomes.filter((outcome) => outcome !== 'already_exists');
    assert.equal(winners.length, 1, JSON.stringify(winners));
    const { data } = await (await connectTo(broker)).get('leader');
    assert.equal(data, winners[0]);
    assert.equal(data, `client ${outcomes.indexOf(data as string)}`);
    for (const client of clients) client.close();
    await broker.kill();
  });

  it('exactly one of 20 programs that register a name at once wins', async () => {
    const broker = await startBroker(reference);
    const register = ['service', 'register', '--quiet', '--name', 'leader', '--data'];
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) => broker.client([...register, `program ${n}`])),
    );
    const winners = results.filter(({ code }) => code === 0);
    assert.equal(winners.length, 1);
    assert.ok(results.every(({ code }) => code === 0 || code === 4));
    assert.equal((await broker.client(['service', 'get', '--name', 'leader'])).stdout, winners[0]?.stdout);
    // They met the broker at the same moment; none of them may have spoilt the file for the others.
    const { stdout } = await broker.client(['trust'], { address: false });
    assert.equal(stdout, `127.0.0.1:${broker.port} ${broker.fingerprint}\n`);
    await broker.kill();
  });
});
