import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Responder, startResponder } from '../../src/broker/discovery/responder.ts';
import { noneAnswered } from '../../src/client/discovery/finder-errors.ts';
import { discover, type DiscoverOptions, type FoundBroker } from '../../src/client/discovery/finder.ts';
import { chooseInterfaces, planRoutes } from '../../src/client/discovery/routes.ts';
import type { Attempt, RespondingBroker } from '../../src/client/discovery/search.ts';
import { byRank, type Seen } from '../../src/client/discovery/responders.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import { directedBroadcast, inSubnet, type NetworkInterface } from '../../src/runtime/network/interfaces.ts';

const open: { close(): unknown }[] = [];
after(async () => {
  for (const one of open) await one.close();
});

const start = async (listenIp: string, port: number, ...names: string[]): Promise<Responder> => {
  const has = (name: string): Promise<boolean> => Promise.resolve(names.includes(name));
  const responder = await startResponder({ listenIp, port, has, log: silentLogger });
  open.push(responder);
  return responder;
};

/** By address: as if each address were a broker of its own. */
const byAddress = ({ address }: RespondingBroker): Promise<string> => Promise.resolve(address);

/** The second of two brokers may answer late on a busy machine, so it has more time than usual. */
const usual = { name: 'foo', timeoutMs: 10_000, gatherMs: 500, interfaces: ['lo'], identify: byAddress };
const find = (options: Partial<DiscoverOptions>): Promise<FoundBroker[]> =>
  discover({ ...usual, ...options });

/** Two brokers on one port, at two loopback addresses that both hear 127.255.255.255. */
const startTwo = async (first: readonly string[], second: readonly string[]): Promise<number> => {
  const { port } = await start('127.0.0.1', 0, ...first);
  await start('127.0.0.2', port, ...second);
  return port;
};
const onLinux = { skip: process.platform === 'linux' ? false : 'only Linux has all of 127.0.0.0/8' };

describe('discover()', () => {
  it('finds the broker that holds the name, without asking who it is', async () => {
    const { port } = await start('127.0.0.1', 0, 'foo');
    const identify = (): Promise<string> => assert.fail('identified a lone answer');
    assert.deepEqual(await find({ port, identify }), [{ host: '127.0.0.1', port, addresses: ['127.0.0.1'] }]);
  });

  it('names the addresses that were asked when none answered in time', async () => {
    const { port } = await start('127.0.0.1', 0, 'foo');
    await assert.rejects(find({ port, name: 'bar', timeoutMs: 300, targets: ['127.0.0.1:9'] }), {
      code: 'unreachable',
      message:
        /^No broker holding 'bar' answered within [\d.]+ m?s \(asked on 1 interface \(\S+\) and 1 target.*--bpbroker/,
    });
  });

  it('waits for a broker that starts later', async () => {
    const { port, close } = await start('127.0.0.1', 0);
    await close();
    const finding = find({ port, timeoutMs: undefined });
    setTimeout(() => void start('127.0.0.1', port, 'foo'), 400);
    assert.equal((await finding)[0]?.host, '127.0.0.1');
  });

  it('ends when it is aborted, with the reason', async () => {
    const { port } = await start('127.0.0.1', 0);
    const signal = AbortSignal.timeout(200);
    await assert.rejects(find({ port, timeoutMs: undefined, signal }), { name: 'TimeoutError' });
    await assert.rejects(find({ port, signal: AbortSignal.abort(new Error('no more')) }), /no more/);
  });

  it('names both of two brokers that hold the name', onLinux, async () => {
    const port = await startTwo(['foo'], ['foo']);
    await assert.rejects(find({ port }), {
      code: 'ambiguous_broker',
      exitCode: 7,
      message: new RegExp(
        `^2 brokers hold 'foo': 127.0.0.1:${port}, 127.0.0.2:${port}. .*--bpbroker.*--all`
          .replaceAll('.', '\\.')
          .replaceAll('\\.*', '.*'),
      ),
    });
    const all = await find({ port, all: true });
    assert.deepEqual(all.map(({ host }) => host).toSorted(), ['127.0.0.1', '127.0.0.2']);
  });

  it('takes addresses of one identity for one broker', onLinux, async () => {
    const port = await startTwo(['foo'], ['foo']);
    const [broker, ...others] = await find({ port, identify: () => Promise.resolve('same') });
    assert.deepEqual([...(broker?.addresses ?? [])].toSorted(), ['127.0.0.1', '127.0.0.2']);
    assert.deepEqual(others, []);
  });

  it(
    'takes brokers that say that they share one registry for no rivals, and all others for such',
    onLinux,
    async () => {
      const port = await startTwo(['foo'], ['foo']);
      const as =
        (...said: readonly Partial<Seen>[]) =>
        ({ address }: RespondingBroker): Promise<Seen> => {
          const one = said[address === '127.0.0.1' ? 0 : 1];
          return Promise.resolve({ fingerprint: address, id: 'r', instance: address, ...one });
        };
      const shared = { shared: true };
      assert.equal((await find({ port, identify: as(shared, shared) })).length, 2);
      for (const identify of [as(shared, {}), as({}, {}), as(shared, { ...shared, id: 'other' })])
        await assert.rejects(find({ port, identify }), { code: 'ambiguous_broker' });
      // Copies of one broker differ in nothing but the process; older brokers do not say.
      const same = { fingerprint: 'f' };
      await assert.rejects(find({ port, identify: as(same, same) }), { code: 'ambiguous_broker' });
      const older = { fingerprint: 'f', instance: '' };
      assert.equal((await find({ port, identify: as(older, older) })).length, 1);
    },
  );

  it('leaves out an address that cannot be identified, unless none can', onLinux, async () => {
    const port = await startTwo(['foo'], ['foo']);
    const identify = ({ address }: RespondingBroker): Promise<string> =>
      address === '127.0.0.1' ? Promise.reject(new Error('refused')) : Promise.resolve('b');
    assert.deepEqual(await find({ port, identify }), [
      { host: '127.0.0.2', port, addresses: ['127.0.0.2'], seen: { fingerprint: 'b' } },
    ]);
    const never = (): Promise<string> => Promise.reject(new Error('refused'));
    await assert.rejects(find({ port, timeoutMs: 400, identify: never }), {
      code: 'unreachable',
      message: /answered from .*127\.0\.0\.1.*over TCP: .*refused/,
    });
  });

  it('asks again while there is time when none that answered can be identified yet', onLinux, async () => {
    const port = await startTwo(['foo'], ['foo']);
    const opensAt = performance.now() + 400;
    const identify = (): Promise<string> =>
      performance.now() < opensAt ? Promise.reject(new Error('refused')) : Promise.resolve('one');
    assert.equal((await find({ port, identify, timeoutMs: undefined }))[0]?.addresses.length, 2);
    const never = (): Promise<string> => Promise.reject(new Error('refused'));
    const signal = AbortSignal.timeout(500);
    await assert.rejects(find({ port, identify: never, timeoutMs: undefined, signal }), {
      name: 'TimeoutError',
    });
  });

  it('prefers the holder to any broker, and takes any broker where none holds it', onLinux, async () => {
    const port = await startTwo(['other'], ['foo']);
    const seen: string[] = [];
    const onReply = ({ address }: RespondingBroker, isHolder: boolean): void =>
      void seen.push(`${address} ${isHolder}`);
    const found = await find({ port, orAny: true, onReply });
    assert.deepEqual(found[0]?.addresses, ['127.0.0.2']);
    assert.deepEqual(seen.toSorted(), ['127.0.0.1 false', '127.0.0.2 false', '127.0.0.2 true']);
    await assert.rejects(find({ port, name: 'none', orAny: true }), {
      code: 'ambiguous_broker',
      message: /^2 brokers answered, none of which holds 'none': /,
    });
    const { port: alone } = await start('127.0.0.1', 0);
    assert.equal((await find({ port: alone, name: 'none', orAny: true }))[0]?.host, '127.0.0.1');
    assert.equal((await find({ port: alone, name: '' }))[0]?.host, '127.0.0.1');
    await assert.rejects(find({ port: alone, timeoutMs: 200 }), { code: 'unreachable' });
  });

  it('listens on after the first answer, and anew after the first from a holder', onLinux, async () => {
    const slow = async (listenIp: string, port: number, ms: number): Promise<Responder> => {
      const has = (): Promise<boolean> => sleep(ms, true);
      const responder = await startResponder({ listenIp, port, has, log: silentLogger });
      open.push(responder);
      return responder;
    };
    const { port } = await slow('127.0.0.1', 0, 300);
    const options = { port, orAny: true, gatherMs: 600 };
    assert.deepEqual((await find(options))[0]?.addresses, ['127.0.0.1']);
    await slow('127.0.0.2', port, 750);
    await assert.rejects(find(options), { code: 'ambiguous_broker', message: /^2 brokers hold 'foo'/ });
  });

  it('leaves a name that cannot be asked for to any broker, if one may do', async () => {
    const { port } = await start('127.0.0.1', 0);
    assert.equal((await find({ port, name: '_access_key', orAny: true })).length, 1);
    await assert.rejects(find({ port, name: '_access_key' }), { code: 'invalid_request' });
  });

  it('asks targets on ports of their own, by address and by name', async () => {
    const { port } = await start('127.0.0.1', 0, 'foo');
    for (const target of [`127.0.0.1:${port}`, `localhost:${port}`]) {
      const [broker] = await find({ port: 9, targets: [target] });
      assert.deepEqual([broker?.host, broker?.port], ['127.0.0.1', port]);
    }
  });

  it('takes no other datagram for an answer', async () => {
    const liar = createSocket('udp4', (message, { port, address }) => {
      for (const reply of ['Key Exists not\n', 'foo\n', '', 'BPD2 r 00\n{}', message]) {
        liar.send(reply, port, address);
      }
    });
    liar.bind(0, '127.0.0.1');
    await once(liar, 'listening');
    open.push(liar);
    await assert.rejects(find({ port: liar.address().port, timeoutMs: 300 }), { code: 'unreachable' });
  });

  it('refuses an interface that is not there, naming those that are, but not at a later search', async () => {
    await assert.rejects(find({ interfaces: ['nope0'] }), {
      code: 'usage',
      message: /^No interface is named 'nope0'; this host has .*\blo/,
    });
    await assert.rejects(find({ targets: ['a b'] }), { code: 'usage', message: /Invalid target 'a b'/ });
    const later = find({ interfaces: ['nope0'], isRepeated: true, timeoutMs: 100 });
    await assert.rejects(later, { code: 'unreachable', message: /; only nope0 may be used$/ });
  });

  it('goes on without a target whose name leads nowhere, and says so', async () => {
    const { port } = await start('127.0.0.1', 0, 'foo');
    const targets = ['nowhere.invalid'];
    let attempts: readonly Attempt[] = [];
    const onAttempts = (list: readonly Attempt[]): void => void (attempts = list);
    assert.equal((await find({ port, targets, onAttempts })).length, 1);
    assert.ok(attempts.some(({ to, sent }) => to === `127.0.0.1:${port}` && sent > 0));
    const none = find({ port, name: 'bar', targets, timeoutMs: 1500 });
    await assert.rejects(none, {
      code: 'unreachable',
      message:
        /; failed: .*nowhere\.invalid:\d+: (?:no such host|the host name could not be looked up) \[\w+\]\)/,
    });
  });
});

describe('the error when none answered', () => {
  const message = (name: string, ...attempts: Attempt[]): string =>
    noneAnswered({ name }, 3000, attempts).message;

  it('counts what was asked', () => {
    const asked: Attempt[] = [
      { interface: 'eth0', to: '10.1.0.255:20443', sent: 7 },
      { interface: 'eth0', to: '255.255.255.255:20443', sent: 7 },
      { interface: 'eth1', to: '10.2.0.255:20443', sent: 0, error: 'not permitted [EPERM]' },
      { to: 'db.example:20443', sent: 7 },
    ];
    assert.match(
      message('foo', ...asked),
      /^No broker holding 'foo' answered within 3 s \(asked on 2 interfaces \(eth0, eth1\) and 1 target; failed: 10\.2\.0\.255:20443 on eth1: not permitted \[EPERM\]\)\. Is one/,
    );
    assert.match(message('', ...asked), /^No broker answered within 3 s/);
  });

  it('says why when no query could be sent', () => {
    const failed: Attempt = { interface: 'eth0', to: '10.1.0.255:20443', sent: 0, error: 'ENETUNREACH' };
    assert.equal(
      message('foo', failed),
      "No broker holding 'foo' could be asked: every query failed (10.1.0.255:20443 on eth0: ENETUNREACH)",
    );
    assert.match(message('foo'), /no interface is up/);
  });
});

describe('directed broadcast', () => {
  it('is the last address of the subnet, where there is one', () => {
    const cases: [string, string, string | undefined][] = [
      ['192.168.1.7', '255.255.255.0', '192.168.1.255'],
      ['10.1.2.3', '255.0.0.0', '10.255.255.255'],
      ['172.16.5.130', '255.255.255.192', '172.16.5.191'],
      ['127.0.0.1', '255.0.0.0', '127.255.255.255'],
      ['203.0.113.4', '255.255.255.252', '203.0.113.7'],
      ['203.0.113.4', '255.255.255.254', undefined],
      ['203.0.113.4', '255.255.255.255', undefined],
    ];
    for (const [address, netmask, expected] of cases) {
      assert.equal(directedBroadcast(address, netmask), expected, `${address}/${netmask}`);
    }
    assert.ok(inSubnet('192.168.1.9', { address: '192.168.1.7', netmask: '255.255.255.0' }));
    assert.ok(!inSubnet('192.168.2.9', { address: '192.168.1.7', netmask: '255.255.255.0' }));
  });
});

const link = (name: string, parts: Partial<NetworkInterface>): NetworkInterface => ({
  name,
  loopback: false,
  ipv4: [],
  ipv6: [],
  zone: name,
  ...parts,
});
const lo = link('lo0', {
  loopback: true,
  ipv4: [
    { address: '127.0.0.1', netmask: '255.0.0.0', broadcast: '127.255.255.255' },
    { address: '10.9.9.9', netmask: '255.255.255.255' },
  ],
});
const eth = link('eth0', {
  ipv4: [
    { address: '10.1.0.5', netmask: '255.255.0.0', broadcast: '10.1.255.255' },
    { address: '10.1.0.6', netmask: '255.255.0.0', broadcast: '10.1.255.255' },
    { address: '10.2.0.5', netmask: '255.255.255.0', broadcast: '10.2.0.255' },
  ],
  linkLocal: 'fe80::5',
  zone: '7',
});
const tunnel = link('tun0', { ipv4: [{ address: '10.8.0.2', netmask: '255.255.255.255' }] });

describe('the ways out of a host', () => {
  it('are one for each subnet and link, from the address that belongs to it', () => {
    assert.deepEqual(planRoutes([lo, eth, tunnel]), [
      { interface: 'lo0', family: 4, from: '127.0.0.1', to: ['127.0.0.1', '127.255.255.255'] },
      { interface: 'eth0', family: 4, from: '10.1.0.5', to: ['10.1.255.255', '255.255.255.255'] },
      { interface: 'eth0', family: 4, from: '10.2.0.5', to: ['10.2.0.255', '255.255.255.255'] },
      { interface: 'eth0', family: 6, from: 'fe80::5%7', to: ['ff12::4fdb%7'] },
    ]);
  });

  it('are all interfaces unless some are named, loopback being lo everywhere', () => {
    const all = [lo, eth, tunnel];
    assert.deepEqual(chooseInterfaces(all, undefined, []), all);
    assert.deepEqual(chooseInterfaces(all, [], []), all);
    assert.deepEqual(chooseInterfaces(all, ['lo'], []), [lo]);
    assert.deepEqual(chooseInterfaces(all, ['tun0', 'eth0'], []), [eth, tunnel]);
    // Known, but without an address yet.
    assert.deepEqual(chooseInterfaces(all, ['eth1'], ['eth1']), []);
    assert.throws(() => chooseInterfaces(all, ['eth2'], ['eth0', 'eth1']), {
      code: 'usage',
      message: "No interface is named 'eth2'; this host has eth0, eth1",
    });
  });
});

describe('the order of sightings', () => {
  it('is IPv4, IPv6, IPv6 link-local, loopback, each in the order of answers', () => {
    const at = (address: string, ms: number): RespondingBroker => ({
      address,
      port: 1,
      at: ms,
      reply: { form: 'open' },
    });
    const responders = [
      at('127.0.0.1', 1),
      at('fe80::1%eth0', 2),
      at('10.0.0.9', 5),
      at('fd00::1', 3),
      at('10.0.0.1', 4),
    ];
    assert.deepEqual(
      responders.toSorted(byRank).map(({ address }) => address),
      ['10.0.0.1', '10.0.0.9', 'fd00::1', 'fe80::1%eth0', '127.0.0.1'],
    );
  });
});
