import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { Certificate } from '../../src/broker/certificate.ts';
import { createKeyedDiscovery } from '../../src/broker/discovery/keyed-discovery.ts';
import { type Responder, startResponder } from '../../src/broker/discovery/responder.ts';
import { discover, type DiscoverOptions, type FoundBroker } from '../../src/client/discovery/finder.ts';
import { reachBroker } from '../../src/client/trust/proof.ts';
import { foundBroker } from '../../src/client/discovery/responders.ts';
import { defaults } from '../../src/config/schema.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { type Rogue, startRogue, startTlsServer, type Trick, tricks } from '../support/network/rogue.ts';

const key = randomBytes(32).toString('hex');
const fingerprint = 'ab'.repeat(32);
/** How long a second answer is waited for: brokers and client share this process, and the machine may be busy. */
const PATIENCE_MS = 1000;
const open: { close(): unknown }[] = [];
let certificate: Certificate;
before(async () => {
  certificate = await makeCertificate();
});
after(async () => {
  for (const one of open) await one.close();
});

interface BrokerOptions {
  readonly listenIp?: string;
  readonly port?: number;
  readonly key?: string;
  readonly fingerprint?: string;
  readonly names?: readonly string[];
  readonly id?: string;
  readonly instance?: string;
  /** Its clock. */
  readonly wall?: () => number;
}

async function start(options: BrokerOptions = {}): Promise<Responder> {
  const { listenIp = '127.0.0.1', port = 0, names = ['foo'], id = 'registry-1' } = options;
  const has = (name: string): Promise<boolean> => Promise.resolve(names.includes(name));
  const { wall } = options;
  const clocks = wall ? { clocks: { wall, steady: () => performance.now() } } : {};
  const config = {
    ...defaults,
    api: { ...defaults.api, listen_ip: listenIp },
    discover: { _access_key: options.key ?? key },
  };
  const discovery = createKeyedDiscovery({ config, id, instance: options.instance ?? 'i', ...clocks });
  assert.ok(discovery);
  discovery.announce({ port: 20443, fingerprint: options.fingerprint ?? fingerprint });
  const responder = await startResponder({ listenIp, port, has, log: silentLogger, form: discovery.form });
  open.push(responder);
  return responder;
}

const identify = (): Promise<string> => assert.fail('looked at a certificate to tell keyed brokers apart');
const find = (options: Partial<DiscoverOptions>): Promise<FoundBroker[]> =>
  discover({ name: 'foo', key, timeoutMs: 10_000, interfaces: ['lo'], identify, ...options });
const onLinux = { skip: process.platform === 'linux' ? false : 'only Linux has all of 127.0.0.0/8' };

async function rogueBeside({ port }: Responder, trick: readonly Trick[]): Promise<Rogue> {
  const broker = { address: '127.0.0.1', port };
  const rogue = await startRogue({ address: '127.0.0.2', port: 0, broker, certificate, trick: () => trick });
  open.push(rogue);
  return rogue;
}

describe('discover() with a key', () => {
  it('finds the broker that has it, with its identity and the port that the reply names', async () => {
    const { port } = await start();
    assert.deepEqual(await find({ port }), [
      {
        host: '127.0.0.1',
        port: 20443,
        addresses: ['127.0.0.1'],
        seen: { id: 'registry-1', instance: 'i', fingerprint },
        proof: { id: 'registry-1', fingerprint },
      },
    ]);
    assert.equal((await find({ port, name: 'none', orAny: true })).length, 1);
    await assert.rejects(find({ port, name: '_access_key' }), { code: 'invalid_request' });
  });

  it('finds a name that the open form cannot ask for', async () => {
    const { port } = await start({ names: [' foo ', 'Key Exists', '"'.repeat(512)] });
    for (const name of [' foo ', 'Key Exists', '"'.repeat(512)])
      assert.equal((await find({ port, name })).length, 1);
  });

  it('row "downgrade": hears nothing from a broker without a key or with another one, and never asks in the open form', async () => {
    const has = (): Promise<boolean> => Promise.resolve(true);
    const plain = await startResponder({ listenIp: '127.0.0.1', port: 0, has, log: silentLogger });
    open.push(plain);
    const other = await start({ key: randomBytes(32).toString('hex') });
    for (const { port } of [plain, other]) {
      await assert.rejects(find({ port, timeoutMs: 400 }), {
        code: 'unreachable',
        message: /A broker without this discovery key does not answer$/,
      });
    }
    const { malformed, received, answered } = plain.stats();
    assert.deepEqual([malformed, answered], [received, 0]);
    assert.ok(other.stats().unauthenticated > 0);
    // Nor does a client without a key believe that there is a keyed one.
    const { port } = await start();
    await assert.rejects(find({ port, key: undefined, timeoutMs: 300 }), { code: 'unreachable' });
  });

  it('takes two brokers for two, and one with two addresses for one', onLinux, async () => {
    const { port } = await start();
    await start({ listenIp: '127.0.0.2', port, fingerprint: 'cd'.repeat(32) });
    await assert.rejects(find({ port, gatherMs: PATIENCE_MS }), {
      code: 'ambiguous_broker',
      message: /^2 brokers hold 'foo': /,
    });
    assert.equal((await find({ port, all: true, gatherMs: PATIENCE_MS })).length, 2);
    // The search that is advised is made in the same way.
    const asked = { port, targets: ['127.0.0.1'], keyFile: '/etc/the key' };
    await assert.rejects(find({ ...asked, gatherMs: PATIENCE_MS }), {
      code: 'ambiguous_broker',
      advice: `discover --name foo --all --port ${port} --interface lo --target 127.0.0.1 --discover-key-file '/etc/the key'`,
    });
    // Of one process, as far as a client can see.
    const one = await start();
    await start({ listenIp: '127.0.0.2', port: one.port });
    const [broker, ...others] = await find({ port: one.port, gatherMs: PATIENCE_MS });
    assert.deepEqual([[...(broker?.addresses ?? [])].toSorted(), others], [['127.0.0.1', '127.0.0.2'], []]);
  });

  it(
    'row "a copied broker": takes two processes for two, though file and certificate are the same',
    onLinux,
    async () => {
      const { port } = await start({ instance: 'one' });
      await start({ listenIp: '127.0.0.2', port, instance: 'other' });
      await assert.rejects(find({ port, gatherMs: PATIENCE_MS }), {
        code: 'ambiguous_broker',
        message: /^2 brokers hold 'foo': .*\. Some have the same identity\. They are copies of one broker /,
      });
      assert.equal((await find({ port, all: true, gatherMs: PATIENCE_MS })).length, 2);
    },
  );

  it('finds brokers whose clocks are wrong, beside one whose clock is right', onLinux, async () => {
    const lost = await start({ wall: () => 0 });
    assert.equal((await find({ port: lost.port })).length, 1);
    const { port } = await start({ instance: 'right' });
    await start({ listenIp: '127.0.0.2', port, instance: 'ahead', wall: () => Date.now() + 3_600_000 });
    await assert.rejects(find({ port, gatherMs: PATIENCE_MS }), { code: 'ambiguous_broker' });
  });

  for (const trick of tricks) {
    it(`row "a rogue broker answers first": is not misled: ${trick}`, onLinux, async () => {
      const broker = await start();
      const { port } = broker;
      const rogue = await rogueBeside(broker, [trick]);
      const targets = [`127.0.0.2:${rogue.port}`];
      for (let i = 0; i < 2; i++) {
        const found = await find({ port, targets });
        assert.deepEqual(
          found.map(({ host, proof }) => [host, proof?.fingerprint]),
          [['127.0.0.1', fingerprint]],
        );
        assert.deepEqual(found[0]?.addresses, ['127.0.0.1']);
      }
      assert.ok((rogue.sent.get(trick) ?? 0) > 0, 'the rogue has tried');
      // Alone with it, a client finds nobody, or by a reply that is passed on, the broker itself.
      const alone = find({ port: 9, targets, timeoutMs: 700 });
      if (trick === 'relay') assert.deepEqual((await alone)[0]?.addresses, ['127.0.0.1']);
      else
        await assert.rejects(alone, {
          code: 'unreachable',
          message: /repl(y was|ies were) ignored: not made with this key/,
        });
      assert.equal(rogue.received(), '');
    });
  }
});

describe('the addresses of a broker that has the key', () => {
  const responder = (
    address: string,
    addresses: readonly string[],
  ): Parameters<typeof foundBroker>[0][0] => ({
    address,
    port: 20443,
    at: 0,
    reply: { form: 'keyed', id: 'x', port: 20443, fingerprint, addresses },
  });

  it('row "spoofed source": are those that it names, where the reply came from first if it is one of them', () => {
    const named = ['10.0.0.1', '10.0.0.2'];
    assert.deepEqual(foundBroker([responder('10.0.0.2', named)]).addresses, ['10.0.0.2', '10.0.0.1']);
    assert.deepEqual(foundBroker([responder('10.0.0.66', named)]).addresses, named);
  });

  it('are on the link that the reply came in on, where they hold for one link', () => {
    const named = ['10.0.0.1', 'fe80::1', 'no address', 'fe80::2%eth9'];
    assert.deepEqual(foundBroker([responder('fe80::1%eth0', named)]).addresses, ['fe80::1%eth0', '10.0.0.1']);
    assert.deepEqual(foundBroker([responder('10.0.0.1', named)]).addresses, ['10.0.0.1']);
  });

  it('are tried until one presents the certificate; others are sent nothing', onLinux, async () => {
    const rogue = await startTlsServer(certificate, '127.0.0.1');
    const right = await makeCertificate();
    const broker = await startTlsServer(right, '127.0.0.2', rogue.port);
    open.push(rogue, broker);
    const found = (addresses: readonly string[]): FoundBroker => ({
      host: addresses[0] ?? '',
      port: rogue.port,
      addresses,
      proof: { id: 'x', fingerprint: right.fingerprint },
    });
    const reached = await reachBroker(found(['127.0.0.3', '127.0.0.1', '127.0.0.2']), 5000);
    assert.deepEqual([reached.address.host, reached.pin.fingerprint], ['127.0.0.2', right.fingerprint]);
    await assert.rejects(reachBroker(found(['127.0.0.3', '127.0.0.1']), 5000), { code: 'identity_mismatch' });
    await assert.rejects(reachBroker(found(['127.0.0.3']), 5000), { code: 'unreachable' });
    assert.deepEqual([rogue.received(), broker.received()], ['', '']);
    assert.ok(rogue.connections() >= 2);
  });

  it(
    'share one limit of time, and the last has its turn behind those that lead nowhere',
    onLinux,
    async () => {
      const right = await makeCertificate();
      const broker = await startTlsServer(right, '127.0.0.2');
      const { port } = broker;
      open.push(broker);
      const nowhere = ['127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6', '127.0.0.7'];
      for (const address of nowhere) {
        const silent = createServer((socket) => socket.on('error', () => undefined).resume());
        open.push(silent);
        await once(silent.listen(port, address), 'listening');
      }
      const found = (addresses: readonly string[]): FoundBroker => ({
        host: addresses[0] ?? '',
        port,
        addresses,
        proof: { id: 'x', fingerprint: right.fingerprint },
      });
      const limitMs = 1000;
      const began = performance.now();
      await assert.rejects(reachBroker(found(nowhere), limitMs), { code: 'unreachable' });
      const tookMs = performance.now() - began;
      // As long as it would be with the whole limit for each address.
      assert.ok(tookMs < nowhere.length * limitMs, `it was to take ${limitMs} ms and took ${tookMs}`);
      // Few, so that the last has two seconds even on a busy machine.
      const reached = await reachBroker(found([...nowhere.slice(0, 2), '127.0.0.2']), 6000);
      assert.equal(reached.address.host, '127.0.0.2');
    },
  );
});
