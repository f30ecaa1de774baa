import { runtime } from '#runtime';
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { openUdp, sourceTowards, type UdpOptions, type UdpSocket } from '../../src/runtime/network/udp.ts';
import { waitFor } from '../support/wait.ts';

const open: UdpSocket[] = [];
after(async () => {
  for (const socket of open) await socket.close();
});

const openLocal = async (
  onMessage: UdpOptions['onMessage'] = () => undefined,
  options: Partial<UdpOptions> = {},
): Promise<UdpSocket> => {
  const socket = await openUdp({ family: 4, address: '127.0.0.1', onMessage, ...options });
  open.push(socket);
  return socket;
};
const datagram = Uint8Array.of(1, 2, 3);
// Deno takes the size and does not hand it to the system.
const bufferIt = runtime.name === 'deno' ? (): void => undefined : it;

describe('a UDP socket', () => {
  it('takes datagrams with the address of their sender', async () => {
    const seen: string[] = [];
    const receiver = await openLocal((data, { address, port }) =>
      seen.push(`${data.length} ${address}:${port}`),
    );
    const sender = await openLocal();
    assert.equal(await sender.send(datagram, { address: '127.0.0.1', port: receiver.port }), undefined);
    await waitFor('the datagram', () => seen.length > 0);
    assert.deepEqual(seen, [`3 127.0.0.1:${sender.port}`]);
  });

  it('sends to a broadcast address if the option allows it, and else returns the error', async () => {
    const to = { address: '127.255.255.255', port: 9 };
    assert.equal(await (await openLocal(undefined, { broadcast: true })).send(datagram, to), undefined);
    assert.ok((await (await openLocal()).send(datagram, to)) instanceof Error);
  });

  void bufferIt('keeps what comes while nobody reads, as far as the system lets it', async () => {
    const COUNT = 250;
    const size = 512;
    let taken = 0;
    const receiver = await openLocal(() => void (taken += 1), { receiveBuffer: 1024 * 1024 });
    const sender = await openLocal();
    // All of them leave in this turn of the event loop: more than the 212,992 bytes hold that are Linux's own default.
    const sent = Array.from({ length: COUNT }, () =>
      sender.send(new Uint8Array(size), { address: '127.0.0.1', port: receiver.port }),
    );
    await Promise.all(sent);
    await waitFor(`all ${COUNT}`, () => taken === COUNT);
  });

  it('sends the next datagram after one that nobody took', async () => {
    let taken = 0;
    const receiver = await openLocal(() => void (taken += 1));
    const closed = await openLocal();
    await closed.close();
    const sender = await openLocal();
    for (let i = 0; i < 20; i++) {
      await sender.send(datagram, { address: '127.0.0.1', port: closed.port });
      assert.equal(await sender.send(datagram, { address: '127.0.0.1', port: receiver.port }), undefined);
    }
    await waitFor('all of them', () => taken === 20);
  });

  it('returns errors as values: an impossible port, a group without IPv6, a closed socket', async () => {
    const socket = await openLocal();
    assert.ok((await socket.send(datagram, { address: '127.0.0.1', port: 0 })) instanceof Error);
    assert.ok(socket.join('ff12::4fdb', 'lo') instanceof Error);
    await socket.close();
    await socket.close();
    assert.ok((await socket.send(datagram, { address: '127.0.0.1', port: 9 })) instanceof Error);
  });

  it('is not opened where the port is taken or the address is not ours', async () => {
    const { port } = await openLocal();
    await assert.rejects(openLocal(undefined, { port }), { code: 'EADDRINUSE' });
    await assert.rejects(openLocal(undefined, { address: '192.0.2.77' }), { code: 'EADDRNOTAVAIL' });
  });

  it('shares its port with others that say so', async () => {
    const { port } = await openLocal(undefined, { reuse: true });
    await openLocal(undefined, { port, reuse: true });
  });
});

describe('sourceTowards()', () => {
  it('names the local address, or says that it is unknown', async () => {
    const source = await sourceTowards(4, { address: '127.0.0.1', port: 9 });
    assert.ok(source === '127.0.0.1' || source === 'unknown', source);
  });
});
