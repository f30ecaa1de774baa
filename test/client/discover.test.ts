import assert from 'node:assert/strict';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { runtime } from '#runtime';
import {
  type BrokerAddress,
  connect,
  type ConnectOptions,
  createBroker,
  discover,
  type DiscoverOptions,
  type FoundBroker,
  type Json,
} from '../../src/index.ts';
import { atEnd } from '../support/cleanup.ts';
import { tempDir } from '../support/temp.ts';

/** Finding a broker with the library, and connecting to what was found; this file runs on Node, Bun and Deno alike. */

const key = 'the-key-of-these-tests-has-forty-three-char';
const other = 'another-key-of-these-tests-has-as-many-char';
const wrong = '0'.repeat(64);

async function open(config: Readonly<Record<string, Json>> = {}): Promise<BrokerAddress> {
  const all = { services: {}, api: { listen_port: 0 }, ...config };
  const broker = await createBroker({ dir: tempDir(), config: all });
  atEnd(() => broker.close());
  const address = await broker.listen();
  const client = await connect({ broker: `127.0.0.1:${address.port}`, fingerprint: address.fingerprint });
  await client.register('shop', { db: '10.0.0.5' });
  client.close();
  return address;
}

const find = (at: BrokerAddress, options: DiscoverOptions = {}): Promise<[FoundBroker, ...FoundBroker[]]> =>
  discover({ interfaces: ['lo'], port: at.udpPort, timeoutMs: 10_000, ...options });

/** What the entry says that was looked for, by way of a broker that was found. */
async function read(options: ConnectOptions): Promise<unknown> {
  await using client = await connect(options);
  return (await client.get('shop')).data;
}

describe(`discover() of the library, on ${runtime.name}`, () => {
  let unkeyed: BrokerAddress;
  let keyed: BrokerAddress;
  before(async () => {
    unkeyed = await open();
    keyed = await open({ discover: { _access_key: key } });
  });

  it('finds the broker that holds a name, and any broker without one; connect() takes either', async () => {
    const knownBrokers = path.join(tempDir(), 'known_brokers');
    for (const name of ['shop', undefined]) {
      const [found, ...more] = await find(unkeyed, { name });
      assert.deepEqual([found.port, more.length, found.proof], [unkeyed.port, 0, undefined]);
      assert.deepEqual(await read({ broker: found, knownBrokers }), { db: '10.0.0.5' });
    }
  });

  it('fails where nobody holds the name, in the time given or when it is aborted', async () => {
    await assert.rejects(find(unkeyed, { name: 'nothing', timeoutMs: 200 }), { code: 'unreachable' });
    const given = new AbortController();
    const search = find(unkeyed, { name: 'nothing', timeoutMs: Infinity, signal: given.signal });
    given.abort(new Error('enough'));
    await assert.rejects(search, { message: 'enough' });
  });

  it('asks once however little time it has, and blames no interface for that', async () => {
    for (const timeoutMs of [0, 1])
      await assert.rejects(find(unkeyed, { name: 'nothing', timeoutMs }), {
        code: 'unreachable',
        message: /^No broker holding 'nothing' (?:was asked: the time was over|answered within)/,
      });
  });

  it('keeps the identity for the name: another broker that answers for it is another one', async () => {
    const knownBrokers = path.join(tempDir(), 'known_brokers');
    const usurper = await open();
    const [first] = await find(unkeyed, { name: 'shop' });
    assert.deepEqual(await read({ broker: first, knownBrokers }), { db: '10.0.0.5' });
    const [second] = await find(usurper, { name: 'shop' });
    await assert.rejects(read({ broker: second, knownBrokers }), {
      code: 'identity_mismatch',
      message: /'shop'/,
    });
    // Of several that answer, none is the one of that name.
    const [third] = await find(usurper, { name: 'shop', all: true });
    assert.deepEqual(await read({ broker: third, knownBrokers }), { db: '10.0.0.5' });
  });

  it('with a key: finds the broker that has it, and connect() holds to the certificate that was proved', async () => {
    const [found] = await find(keyed, { name: 'shop', key });
    assert.equal(found.proof?.fingerprint, keyed.fingerprint);
    const knownBrokers = path.join(tempDir(), 'folder that is not there', 'known_brokers');
    const at = { broker: found, knownBrokers };
    assert.deepEqual(await read(at), { db: '10.0.0.5' });
    assert.deepEqual(await read({ ...at, discoverKey: key }), { db: '10.0.0.5' });
    assert.deepEqual(await read({ ...at, fingerprint: keyed.fingerprint }), { db: '10.0.0.5' });
    await assert.rejects(read({ ...at, fingerprint: wrong }), { code: 'identity_mismatch' });
    await assert.rejects(read({ ...at, discoverKey: other }), { code: 'identity_mismatch' });
    const forged = { ...found, proof: { ...found.proof, fingerprint: wrong } };
    await assert.rejects(read({ broker: forged }), { code: 'identity_mismatch' });
    await assert.rejects(read({ broker: forged, discoverKey: key }), { code: 'identity_mismatch' });
  });

  it('with a key: believes no broker without it', async () => {
    await assert.rejects(find(unkeyed, { name: 'shop', key, timeoutMs: 300 }), { code: 'unreachable' });
    await assert.rejects(find(keyed, { name: 'shop', key: other, timeoutMs: 300 }), { code: 'unreachable' });
    await assert.rejects(find(keyed, { name: 'shop', timeoutMs: 300 }), { code: 'unreachable' });
  });

  it('refuses options that cannot be', async () => {
    const options: [DiscoverOptions, string, RegExp][] = [
      [{ key: 'weak' }, 'usage', /discovery key/],
      [{ timeoutMs: -1 }, 'usage', /'timeoutMs' is -1; expected a number of milliseconds/],
      [{ timeoutMs: Number.NaN }, 'usage', /'timeoutMs' is NaN/],
      [{ port: 0 }, 'usage', /'port' is 0; expected a port/],
      [{ port: 65_536 }, 'usage', /'port' is 65536/],
      [{ interfaces: ['nothing0'] }, 'usage', /nothing0/],
      [{ targets: ['a b'] }, 'usage', /a b/],
      [{ names: 'a' } as DiscoverOptions, 'usage', /did you mean 'name'/],
      [{ key: 5 } as unknown as DiscoverOptions, 'usage', /'key' is a number/],
      [{ name: 'a\nb' }, 'invalid_request', /name/i],
    ];
    for (const [wrongOptions, code, message] of options)
      await assert.rejects(find(unkeyed, wrongOptions), { code, message }, JSON.stringify(wrongOptions));
  });
});
