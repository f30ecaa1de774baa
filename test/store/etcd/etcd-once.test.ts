import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fetchOnce } from '../../../src/store/etcd/gateway/fetch-once.ts';
import { brokenConnection } from '../../../src/store/etcd/gateway/failures.ts';

describe('a request to etcd', () => {
  let server: ReturnType<typeof createServer>;
  let sent: string[];
  let answersLeft: number;
  let open: Socket[];

  beforeEach(async () => {
    sent = [];
    answersLeft = 0;
    open = [];
    server = createServer((socket) => {
      open.push(socket);
      socket.on('error', () => undefined);
      socket.setEncoding('utf8').on('data', (text: string) => {
        if (!text.startsWith('POST ')) return;
        sent.push(text);
        if (answersLeft-- > 0) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
        else socket.destroy();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterEach(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });

  const ask = async (body: string): Promise<string> => {
    const { port } = server.address() as AddressInfo;
    const answer = await fetchOnce(`http://127.0.0.1:${port}/v3/kv/txn`, { method: 'POST', body });
    return await answer.text();
  };

  for (const [connection, answered] of [
    ['new', 0],
    ['kept', 1],
  ] as const) {
    it(`is sent once when its connection breaks under it, a ${connection} one`, async () => {
      answersLeft = answered;
      for (let i = 0; i < answered; i++) assert.equal(await ask('{"first":1}'), '{}');
      const error: unknown = await ask('{"second":2}').then(
        () => assert.fail('it was answered'),
        (thrown: unknown) => thrown,
      );
      assert.equal(sent.length, answered + 1);
      assert.equal(brokenConnection(error).kind, 'lost');
    });
  }

  it('was not sent where no connection came about', async () => {
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const error: unknown = await fetchOnce(`http://127.0.0.1:${port}/`, { method: 'POST', body: '' }).catch(
      (thrown: unknown) => thrown,
    );
    assert.equal(brokenConnection(error).kind, 'unsent');
  });

  it('may have been done where an open connection has lost its host', () => {
    for (const [syscall, kind] of [
      ['connect', 'unsent'],
      ['read', 'lost'],
      ['write', 'lost'],
    ] as const) {
      const cause = Object.assign(new Error('no route to host'), { code: 'EHOSTUNREACH', syscall });
      assert.equal(brokenConnection(new TypeError('fetch failed', { cause })).kind, kind, syscall);
    }
  });
});
