import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { Certificate } from '../../src/broker/certificate.ts';
import type { KeyedDiscovery } from '../../src/broker/discovery/keyed-discovery.ts';
import { checkListeners } from '../../src/broker/health/checks/listeners.ts';
import { createSelfQuery } from '../../src/broker/health/checks/self-query.ts';
import { type Listeners, listen } from '../../src/broker/listeners.ts';
import { defaults } from '../../src/config/schema.ts';
import type { BrokerError } from '../../src/protocol/errors.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import { openUdp } from '../../src/runtime/network/udp.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait.ts';

const host = '127.0.0.1';

interface Opened extends AsyncDisposable {
  readonly listeners: Listeners;
  /** Rejects unless both ports answer, with the certificate of their address. */
  answers(): Promise<void>;
}

async function open({ dir = tempDir(), ip = host, port = 0, log = silentLogger } = {}): Promise<Opened> {
  const selfQuery = createSelfQuery();
  const listeners = await listen({
    fetch: () => new Response('{}'),
    api: { ...defaults.api, listen_ip: ip, listen_port: port },
    file: path.join(dir, 'bpbroker.json'),
    shared: undefined,
    has: () => Promise.resolve(false),
    discovery: undefined,
    log,
    isOwn: selfQuery.isOwn,
  });
  return {
    listeners,
    async answers() {
      assert.deepEqual(await checkListeners(listeners.address, host, selfQuery), { ok: true });
    },
    [Symbol.asyncDispose]: () => listeners.close(0),
  };
}

/** A certificate with which no runtime can serve. */
async function unservable(): Promise<Certificate> {
  const { cert, fingerprint } = await makeCertificate();
  return {
    cert,
    fingerprint,
    get key(): never {
      throw new Error('no such key');
    },
  };
}

/** Discovery whose sockets cannot be opened. */
const unusable: KeyedDiscovery = {
  get form(): never {
    throw new Error('no socket is left');
  },
  announce: () => undefined,
  exchange: () => undefined,
};

async function ask(port: number): Promise<void> {
  const socket = await openUdp({ family: 4, address: host, onMessage: () => undefined });
  await socket.send(Buffer.from('no such name\n'), { address: host, port });
  await socket.close();
}

describe('renew()', () => {
  it('serves with the former certificate again when no server can be made with the new one', async () => {
    await using opened = await open();
    const { listeners } = opened;
    const former = listeners.address;
    const certificate = await unservable();
    await assert.rejects(listeners.renew({ certificate, discovery: undefined }), /no such key/);
    assert.deepEqual(listeners.address, former);
    await opened.answers();
    const next = await makeCertificate();
    await listeners.renew({ certificate: next, discovery: undefined });
    assert.equal(listeners.address.fingerprint, next.fingerprint);
    await opened.answers();
  });

  it('changes neither port when discovery cannot be opened anew, and counts each datagram once', async () => {
    await using opened = await open();
    const { listeners } = opened;
    const former = listeners.address;
    await ask(former.udpPort);
    await waitFor('the datagram', () => listeners.discovered().received === 1);
    const certificate = await makeCertificate();
    for (let attempt = 1; attempt <= 2; attempt++) {
      await assert.rejects(listeners.renew({ certificate, discovery: unusable }), /no socket is left/);
      assert.deepEqual(listeners.address, former);
      assert.equal(listeners.discovered().received, 1);
      await opened.answers();
    }
  });
});

describe('the listeners', () => {
  it('warn where discovery cannot listen on IPv6, though this host has it', async (test) => {
    const warned: string[] = [];
    const log = { ...silentLogger, warn: (message: string) => void warned.push(message) };
    for (let attempt = 1; ; attempt++) {
      const taken = await openUdp({ family: 6, address: '::', onMessage: () => undefined }).catch(
        () => undefined,
      );
      if (!taken) return test.skip('needs IPv6');
      try {
        await using opened = await open({ ip: '', port: taken.port, log });
        assert.equal(opened.listeners.address.port, taken.port);
        return assert.deepEqual(warned, ['Discovery works without IPv6']);
      } catch (error) {
        // Another test may have that port for TCP or for IPv4.
        if ((error as BrokerError).code !== 'unavailable' || attempt === 9) throw error;
      } finally {
        await taken.close();
      }
    }
  });

  it('leave nothing of a key that a killed start had half written', async () => {
    const dir = tempDir();
    const left = ['bpbroker.key.tmp-0123456789abcdef', 'bpbroker.crt.tmp-0123456789abcdef'];
    for (const name of [...left, 'bpbroker.key.mine']) writeFileSync(path.join(dir, name), '');
    await using opened = await open({ dir });
    await opened.answers();
    assert.deepEqual(readdirSync(dir).toSorted(), ['bpbroker.crt', 'bpbroker.key', 'bpbroker.key.mine']);
  });
});
