import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { BrokerConnection } from '../../src/client/connection/connection.ts';
import { createReconnect, type FindAgain, type Reconnect } from '../../src/client/connection/reconnect.ts';
import { deadlineIn } from '../../src/client/connection/retry.ts';
import type { Seen } from '../../src/client/discovery/responders.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import { untilAborted } from '../../src/protocol/until-aborted.ts';
import { atEnd } from '../support/cleanup.ts';
import { waitFor } from '../support/wait.ts';

/** How a waiting call looks for a broker that it has lost, while other hosts hinder it. */

const fingerprint = '0'.repeat(64);
const lost = new BrokerError('unreachable', 'it is gone');

function lookFor(probe: () => Promise<void>, findAgain: FindAgain): Reconnect {
  const address = { host: '127.0.0.1', port: 1 };
  const connection: BrokerConnection = {
    address,
    place: '127.0.0.1:1',
    isProxied: false,
    request: () => Promise.reject(new Error('not asked for')),
    probe,
    close: () => undefined,
    pinned: { pin: { fingerprint }, pinSource: 'kept', moveTo: () => assert.fail('moved') },
  };
  const closed = new AbortController().signal;
  return createReconnect({ connection, closed, findAgain, notify: () => undefined });
}

const gone = (): Promise<void> => Promise.reject(lost);

/** A search that never ends. */
const endless: FindAgain = () => new Promise(() => undefined);

/** The result of a look. One that does not end would hold up this file for ever. */
const ended = (look: Promise<unknown>): Promise<unknown> => untilAborted(look, AbortSignal.timeout(20_000));

/** A host that accepts connections and never says a word. */
async function silentHost(): Promise<{ readonly port: number; readonly callers: Set<Socket> }> {
  const callers = new Set<Socket>();
  const server = createServer((socket) => {
    callers.add(socket);
    socket.on('error', () => undefined).on('close', () => callers.delete(socket));
    socket.resume();
  }).listen(0, '127.0.0.1');
  atEnd(() => server.close());
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, callers };
}

describe('a look for a lost broker', () => {
  it('tries its address again and again while a search runs', async () => {
    let probes = 0;
    const reconnect = lookFor(() => {
      probes += 1;
      return probes < 3 ? gone() : Promise.resolve();
    }, endless);
    assert.equal(await ended(reconnect(lost, deadlineIn(Infinity))), undefined);
    assert.equal(probes, 3);
  });

  it('ends with the time of its caller, and of each caller that shares it', async () => {
    const reconnect = lookFor(gone, endless);
    assert.equal(await ended(reconnect(lost, deadlineIn(200))), lost);
    const long = reconnect(lost, deadlineIn(Infinity)).then(() => 'long');
    const short = reconnect(lost, deadlineIn(200)).then(() => 'short');
    assert.equal(await ended(Promise.race([long, short])), 'short');
    await ended(long);
  });

  it('tries all that a search finds at once', async () => {
    const ours: Seen = { fingerprint, id: 'registry', shared: true };
    // The first kind is asked who it is. The second is known, and asked whether it can be reached.
    for (const seen of [undefined, ours]) {
      const hosts = await Promise.all([silentHost(), silentHost()]);
      const brokers = hosts.map(({ port }) => ({
        host: '127.0.0.1',
        port,
        addresses: ['127.0.0.1'],
        ...(seen ? { seen } : {}),
      }));
      const reconnect = lookFor(gone, () => Promise.resolve({ brokers, holders: [] }));
      const looking = ended(reconnect(lost, deadlineIn(Infinity)));
      await waitFor('both callers', () => hosts.every(({ callers }) => callers.size === 1));
      for (const { callers } of hosts) for (const socket of callers) socket.destroy();
      assert.equal(await looking, lost);
    }
  });
});
