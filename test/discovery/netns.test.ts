import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import type { ResponderStats } from '../../src/broker/discovery/responder.ts';
import type { DiscoverOptions, FoundBroker } from '../../src/client/discovery/finder.ts';
import { createNetwork, netnsProblem, type Network } from '../support/network/netns.ts';
import { untilEqual, waitFor } from '../support/wait.ts';
import type { ResponderArgs } from './child.ts';

// As source or as emitted for a Node that runs no TypeScript.
const child = path.join(import.meta.dirname, `child${path.extname(import.meta.filename)}`);

interface RunningResponder {
  stats(): Promise<ResponderStats>;
}

async function respond(net: Network, host: string, args: ResponderArgs): Promise<RunningResponder> {
  const command = [process.execPath, child, 'responder', JSON.stringify(args)];
  const running: ChildProcess = net.spawn(host, command, { stdio: ['pipe', 'pipe', 'inherit'] });
  assert.ok(running.stdout && running.stdin);
  const lines = createInterface(running.stdout)[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, '"ready"');
  return {
    async stats() {
      running.stdin?.write('stats\n');
      return JSON.parse((await lines.next()).value as string) as ResponderStats;
    },
  };
}

async function runChild<T>(net: Network, host: string, role: string, args: unknown): Promise<T> {
  const { stdout, stderr } = await net.run(host, [process.execPath, child, role, JSON.stringify(args)]);
  assert.equal(stderr, '');
  return JSON.parse(stdout) as T;
}

interface Outcome {
  readonly found?: FoundBroker[];
  readonly code?: string;
  readonly message?: string;
}
const find = (net: Network, host: string, options: Partial<DiscoverOptions> = {}): Promise<Outcome> =>
  runChild(net, host, 'finder', { name: 'foo', timeoutMs: 5000, ...options });
const hosts = (outcome: Outcome): string[] => {
  assert.ok(outcome.found, outcome.message);
  return outcome.found.map(({ host }) => host);
};

const problem = netnsProblem();

describe('discovery between hosts', { skip: problem ?? false, concurrency: 3 }, () => {
  it('finds the broker by name, with no default route', async () => {
    const net = await createNetwork({
      hosts: { a: ['10.77.1.1/24'], b: ['10.77.1.2/24'], c: ['10.77.1.3/24'] },
    });
    await respond(net, 'a', { names: ['foo'] });
    await respond(net, 'b', { names: ['other'], identity: 'B' });
    assert.deepEqual(hosts(await find(net, 'c')), ['10.77.1.1']);
    assert.deepEqual(hosts(await find(net, 'c', { name: 'other' })), ['10.77.1.2']);
    // The control: a broadcast out of no interface in particular fails here.
    assert.equal(await runChild(net, 'c', 'original', 'foo'), 'ENETUNREACH');
    // From the broker's own host, the address that other hosts can use comes first.
    assert.deepEqual(hosts(await find(net, 'b', { name: 'other', interfaces: ['eth0', 'lo'] })), [
      '10.77.1.2',
    ]);
    await net.close();
  });

  it("answers the original's client, on all addresses and on one alone", async () => {
    const net = await createNetwork({
      hosts: {
        a: ['10.77.1.1/24'],
        b: ['10.77.1.2/24'],
        c: ['10.77.1.3/24', '10.77.2.3/24'],
        d: ['10.77.2.4/24'],
      },
      routes: { b: ['default via 10.77.1.1'], d: ['default via 10.77.2.3'] },
    });
    await respond(net, 'a', { names: ['foo'] });
    await respond(net, 'c', { names: ['bar'], listenIp: '10.77.1.3' });
    assert.equal(await runChild(net, 'b', 'original', 'foo'), '10.77.1.1 Key Exists\n');
    assert.equal(await runChild(net, 'b', 'original', 'bar'), '10.77.1.3 Key Exists\n');
    assert.deepEqual(hosts(await find(net, 'b', { name: 'bar' })), ['10.77.1.3']);
    // It is configured to listen only on the other subnet.
    assert.equal(await runChild(net, 'd', 'original', 'bar'), 'no answer');
    assert.equal((await find(net, 'd', { name: 'bar', timeoutMs: 700 })).code, 'unreachable');
    await net.close();
  });

  it('finds on every subnet of a host, and keeps to the interfaces named', async () => {
    const net = await createNetwork({
      hosts: { a: ['10.77.1.1/24'], b: ['10.77.2.1/24'], both: ['10.77.1.9/24', '10.77.2.9/24'] },
    });
    const a = await respond(net, 'a', { names: ['foo'] });
    const b = await respond(net, 'b', { names: ['bar'] });
    assert.deepEqual(hosts(await find(net, 'both')), ['10.77.1.1']);
    assert.deepEqual(hosts(await find(net, 'both', { name: 'bar' })), ['10.77.2.1']);
    const before = await b.stats();
    assert.deepEqual(hosts(await find(net, 'both', { interfaces: ['eth0'], targets: ['10.77.2.1'] })), [
      '10.77.1.1',
    ]);
    const refused = await find(net, 'both', {
      name: 'bar',
      interfaces: ['eth0'],
      targets: ['10.77.2.1'],
      timeoutMs: 700,
    });
    assert.equal(refused.code, 'unreachable');
    assert.match(
      refused.message ?? '',
      /10\.77\.2\.1:20443: the route uses an interface that is not allowed/,
    );
    assert.deepEqual(await b.stats(), before);
    assert.ok((await a.stats()).notHeld > 0);
    assert.match((await find(net, 'both', { interfaces: ['eth7'] })).message ?? '', /has eth0, eth1, lo$/);
    await net.close();
  });

  it('asks 255.255.255.255 by each interface, for hosts that have another netmask', async () => {
    const net = await createNetwork({
      hosts: {
        a: ['10.77.1.1/24@one'],
        b: ['10.78.1.1/24@two'],
        client: ['10.77.1.9/16@one', '10.78.1.9/16@two'],
      },
    });
    await respond(net, 'a', { names: ['foo'] });
    await respond(net, 'b', { names: ['bar'] });
    assert.deepEqual(hosts(await find(net, 'client')), ['10.77.1.1']);
    assert.deepEqual(hosts(await find(net, 'client', { name: 'bar' })), ['10.78.1.1']);
    await net.close();
  });

  it('takes a broker on several subnets for one, and two brokers for two', async () => {
    const net = await createNetwork({
      hosts: {
        broker: ['10.77.1.1/24', '10.77.2.1/24'],
        client: ['10.77.1.9/24', '10.77.2.9/24'],
        rival: ['10.77.2.2/24'],
      },
    });
    await respond(net, 'broker', { names: ['foo'], identity: 'A' });
    // An answer that a busy machine delays is not waited for: each search is made until both are heard.
    await untilEqual('one broker at both addresses', [['10.77.1.1', '10.77.2.1']], async () =>
      (await find(net, 'client')).found?.map(({ addresses }) => addresses.toSorted()),
    );
    await respond(net, 'rival', { names: ['foo'], identity: 'B' });
    const two = await waitFor('both brokers', async () => {
      const outcome = await find(net, 'client');
      assert.equal(outcome.code, 'ambiguous_broker');
      return outcome;
    });
    assert.match(two.message ?? '', /^2 brokers hold 'foo': .*10\.77\.2\.2:20443/);
    const all = async (): Promise<unknown> => (await find(net, 'client', { all: true })).found?.length;
    await untilEqual('both brokers at once', 2, all);
    await net.close();
  });

  it('waits for a broker, and for an address, that come later', async () => {
    const net = await createNetwork({ hosts: { a: ['10.77.1.1/24'], b: ['10.77.1.2/24'] } });
    const bare = await createNetwork({ hosts: { a: ['10.77.1.1/24@lan'], late: ['lan'] } });
    const waiting = find(net, 'b', { timeoutMs: 20_000 });
    const configuring = find(bare, 'late', { timeoutMs: 20_000, interfaces: ['eth0'] });
    await respond(bare, 'a', { names: ['foo'] });
    await sleep(300);
    await respond(net, 'a', { names: ['foo'] });
    bare.ip('late', 'address', 'add', '10.77.1.5/24', 'dev', 'eth0');
    assert.deepEqual(hosts(await waiting), ['10.77.1.1']);
    assert.deepEqual(hosts(await configuring), ['10.77.1.1']);
    await Promise.all([net.close(), bare.close()]);
  });

  it('finds over IPv6 link-local addresses alone, by the right link', async () => {
    const net = await createNetwork({
      hosts: { a: ['lan', 'other'], b: ['other', 'lan'], c: ['lan'], d: ['other'] },
      ipv6: true,
    });
    await respond(net, 'a', { names: ['foo'], identity: 'A' });
    const [seen] = (await find(net, 'b')).found ?? [];
    assert.equal(seen?.addresses.length, 2);
    for (const zone of ['eth0', 'eth1']) {
      assert.ok(
        seen?.addresses.some((address) => address.startsWith('fe80::') && address.endsWith(`%${zone}`)),
      );
    }
    for (const host of ['c', 'd']) assert.match(hosts(await find(net, host)).join(), /^fe80::.*%eth0$/);
    await net.close();
  });

  it('joins the group on links that come later, and on the link of its one address', async () => {
    const net = await createNetwork({
      hosts: { a: ['lan'], b: ['lan'], c: ['fd00:77::3/64@lan'] },
      ipv6: true,
    });
    net.ip('a', 'link', 'set', 'eth0', 'down');
    await respond(net, 'a', { names: ['foo'], rescanMs: 100 });
    await respond(net, 'c', { names: ['bar'], listenIp: 'fd00:77::3' });
    net.ip('b', 'route', 'add', 'fd00:77::/64', 'dev', 'eth0');
    const waiting = find(net, 'b', { timeoutMs: 10_000 });
    await sleep(200);
    net.ip('a', 'link', 'set', 'eth0', 'up');
    assert.match(hosts(await waiting).join(), /^fe80::.*%eth0$/);
    assert.deepEqual(hosts(await find(net, 'b', { name: 'bar' })), ['fd00:77::3']);
    await net.close();
  });

  it('joins the group again on a link that is made anew at once, with the same addresses', async () => {
    const net = await createNetwork({
      hosts: { a: ['lan'], b: ['lan'], c: ['fd00:77::3/64@lan'] },
      ipv6: true,
    });
    await respond(net, 'a', { names: ['foo'], rescanMs: 2000 });
    await respond(net, 'c', { names: ['bar'], listenIp: 'fd00:77::3', rescanMs: 2000 });
    net.ip('b', 'route', 'add', 'fd00:77::/64', 'dev', 'eth0');
    const before = hosts(await find(net, 'b'));
    assert.deepEqual(hosts(await find(net, 'b', { name: 'bar' })), ['fd00:77::3']);
    const made = { a: 'p0x0', c: 'p2x0' };
    for (const [host, peer] of Object.entries(made)) {
      const { stdout } = await net.run(host, ['cat', '/sys/class/net/eth0/address']);
      net.ip(host, 'link', 'delete', 'eth0');
      const far = ['peer', 'name', peer, 'netns', net.namespaceOf('switch')];
      net.ip(host, 'link', 'add', 'eth0', 'address', stdout.trim(), 'type', 'veth', ...far);
      net.ip('switch', 'link', 'set', peer, 'master', 'br0', 'up');
      if (host === 'c') net.ip(host, 'address', 'add', 'fd00:77::3/64', 'dev', 'eth0');
      net.ip(host, 'link', 'set', 'eth0', 'up');
    }
    assert.deepEqual(hosts(await find(net, 'b', { timeoutMs: 15_000 })), before);
    assert.deepEqual(hosts(await find(net, 'b', { name: 'bar', timeoutMs: 15_000 })), ['fd00:77::3']);
    await net.close();
  });

  it('asks targets behind a router, where no broadcast gets', async () => {
    const net = await createNetwork({
      hosts: { a: ['10.77.1.1/24'], r: ['10.77.1.254/24', '10.77.2.254/24'], c: ['10.77.2.1/24'] },
      routes: { a: ['default via 10.77.1.254'], c: ['default via 10.77.2.254'] },
      routers: ['r'],
    });
    await respond(net, 'a', { names: ['foo'] });
    const none = await find(net, 'c', { timeoutMs: 700 });
    assert.equal(none.code, 'unreachable');
    assert.match(none.message ?? '', /asked on 2 interfaces \(.*eth0.*\)/);
    assert.deepEqual(hosts(await find(net, 'c', { targets: ['10.77.1.1'] })), ['10.77.1.1']);
    assert.deepEqual(hosts(await find(net, 'c', { targets: ['10.77.1.1:20443'], interfaces: ['eth0'] })), [
      '10.77.1.1',
    ]);
    await net.close();
  });
});
