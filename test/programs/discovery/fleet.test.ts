import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { bootstrapOf, CLUSTER, type Outcome } from '../../bench/fleet/phases.ts';
import { type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { launchers, startBroker } from '../../support/programs/programs.ts';
import { lacking } from '../../support/programs/tools.ts';
import { connectTo, reference, skipOf } from '../support.ts';

/** The whole bootstrap of so many nodes, on a keyed broker of their own; the nodes are in this process, the rest is real. */
async function boot(nodes: number): Promise<Outcome> {
  const key = randomBytes(32).toString('hex');
  const config = { ping: {}, services: {}, discover: { _access_key: key } };
  const broker = await startBroker(reference, { config });
  await (await connectTo(broker)).register(CLUSTER, 'here');
  const outcome = await bootstrapOf({ nodes, ports: [broker.port], key, limitMs: 60_000 });
  await broker.stop();
  assert.deepEqual(outcome.failures, {});
  assert.equal(outcome.ms.length, nodes);
  return outcome;
}

/** How often a cluster has been asked so, by its own count. */
async function callsOf({ endpoints }: EtcdCluster, method: string): Promise<number> {
  const pattern = new RegExp(`^grpc_server_started_total\\{grpc_method="${method}",.*\\} (\\S+)$`, 'm');
  const counts = endpoints.map(async (url) => {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const found = pattern.exec(metrics)?.[1];
    assert.ok(found !== undefined, `etcd counts no calls of ${method}`);
    return Number(found);
  });
  return (await Promise.all(counts)).reduce((sum, one) => sum + one, 0);
}

const isLinux = process.platform === 'linux';

describe('a fleet', { skip: isLinux ? false : 'a loopback address for each node is of Linux' }, () => {
  it('of 300 nodes that boot at once gets through, and a node of it is sent no more than one of 100', async () => {
    const [some, thrice] = [await boot(100), await boot(300)];
    const [ofSome, ofThrice] = [some.answerBytes / 100, thrice.answerBytes / 300];
    assert.ok(
      ofThrice <= 1.1 * ofSome,
      `${ofSome} bytes of answers to one of 100, ${ofThrice} to one of 300`,
    );
    // Whatever was lost and asked anew: a datagram of 512 bytes has one reply at most, which is no longer.
    for (const { bytes, answerBytes, datagrams } of [some, thrice])
      assert.ok(bytes - answerBytes <= 512 * datagrams);
  });

  it(
    'of 150 nodes at three brokers over etcd gets through, and costs etcd one write and a few reads a node',
    { skip: lacking('etcd') },
    async () => {
      const nodes = 150;
      const cluster = await startEtcd();
      const { endpoints } = cluster;
      const key = randomBytes(32).toString('hex');
      const config = {
        ping: {},
        services: {},
        discover: { _access_key: key },
        _store: { driver: 'etcd', endpoints },
      };
      const brokers = await Promise.all([1, 2, 3].map(() => startBroker(reference, { config })));
      const [first] = brokers;
      assert.ok(first);
      await (await connectTo(first)).register(CLUSTER, 'here');
      const calls = (): Promise<number[]> =>
        Promise.all(['Txn', 'Put', 'Range'].map((method) => callsOf(cluster, method)));
      const before = await calls();
      const ports = brokers.map(({ port }) => port);
      const outcome = await bootstrapOf({ nodes, ports, key, limitMs: 60_000 });
      const [txn = 0, put = 0, range = 0] = (await calls()).map((now, i) => now - (before[i] ?? 0));
      await Promise.all(brokers.map((broker) => broker.stop()));
      await cluster.close();
      assert.deepEqual(outcome.failures, {});
      assert.equal(outcome.ms.length, nodes);
      // A read for a node's discovery at each broker, two for its wait, one for the barrier. Nodes that ask
      // at the same time share some. Each broker looks once a second.
      const seconds = Math.ceil(outcome.totalMs / 1000) + 1;
      const told = `${txn} transactions, ${put} puts, ${range} reads`;
      assert.ok(txn >= nodes && txn <= 1.1 * nodes, told);
      assert.ok(put + range <= 6 * nodes + 2 * brokers.length * seconds, told);
    },
  );

  for (const launcher of launchers.filter(({ name }) => ['executable', 'node24'].includes(name))) {
    it(
      `of 1,000 is connected while the broker has no time to accept (${launcher.name})`,
      { skip: skipOf(launcher) },
      async (t) => {
        const most = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
        if (most < 1000) return t.skip(`net.core.somaxconn is ${most} here`);
        const { port, pid } = await startBroker(launcher);
        // As in a long turn of its event loop.
        process.kill(pid, 'SIGSTOP');
        const sockets: Socket[] = [];
        try {
          const connected = Array.from({ length: 1000 }, () => {
            const socket = connect(port, '127.0.0.1');
            sockets.push(socket);
            return once(socket, 'connect', { signal: AbortSignal.timeout(30_000) });
          });
          await Promise.all(connected);
        } finally {
          for (const socket of sockets) socket.destroy();
          process.kill(pid, 'SIGCONT');
        }
      },
    );
  }
});
