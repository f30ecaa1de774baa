import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import tls from 'node:tls';
import { runtime } from '#runtime';
import type { Certificate } from '../../src/broker/certificate.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import type { Channel, ChannelResponse } from '../../src/runtime/runtime.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { waitFor } from '../support/wait.ts';

/** How a channel deals with what comes on its connections; this file runs on Node, Bun and Deno alike. */

const BIG = 8 * 1024 * 1024;

describe(`a channel on ${runtime.name}`, () => {
  let certificate: Certificate;
  let server: tls.Server;
  let sockets: tls.TLSSocket[] = [];
  /** What the server does with a request; it receives each socket once a whole head has come. */
  let answer: (socket: tls.TLSSocket, request: string) => void;
  const channels: Channel[] = [];

  before(async () => {
    certificate = await makeCertificate();
    server = tls.createServer({ cert: certificate.cert, key: certificate.key }, (socket) => {
      sockets.push(socket);
      let got = '';
      socket.setEncoding('latin1').on('data', (part: string) => {
        got += part;
        if (!got.includes('\r\n\r\n')) return;
        const request = got;
        got = '';
        answer(socket, request);
      });
      socket.on('error', () => undefined);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  beforeEach(() => {
    for (const socket of sockets) socket.destroy();
    sockets = [];
  });
  after(() => {
    for (const channel of channels) channel.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  const portOf = (one: net.Server): number => (one.address() as AddressInfo).port;

  function open(port = portOf(server)): Channel {
    const pin = { fingerprint: certificate.fingerprint, certificate: certificate.cert };
    const mismatch = (presented: string): BrokerError => new BrokerError('identity_mismatch', presented);
    const channel = runtime.openChannel({ host: '127.0.0.1', port, pin, mismatch });
    channels.push(channel);
    return channel;
  }

  const post = (channel: Channel, body: string | Uint8Array = ''): Promise<ChannelResponse> =>
    channel.request({ method: 'POST', path: '/x', headers: { 'x-name': 'value' }, body });

  const say =
    (text: string, end = false) =>
    (socket: tls.TLSSocket): void => {
      if (end) socket.end(text, 'latin1');
      else socket.write(text, 'latin1');
    };

  it('sends a request as it was given', async () => {
    let seen = '';
    answer = (socket, request) => {
      seen = request;
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    };
    await (await post(open(), 'ü')).text();
    const [head = '', body] = seen.split('\r\n\r\n');
    assert.match(head, /^POST \/x HTTP\/1\.1\r\n/);
    assert.match(head, /^content-length: 2$/im);
    assert.match(head, /^x-name: value$/im);
    assert.match(head, /^host: 127\.0\.0\.1:\d+$/im);
    assert.equal(Buffer.from(body ?? '', 'latin1').toString(), 'ü');
  });

  it('reads an answer of known length, in chunks, and to the end of the connection', async () => {
    const forms: [(socket: tls.TLSSocket) => void, string][] = [
      [say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'), 'hi'],
      [say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n'), 'hi'],
      [say('HTTP/1.1 200 OK\r\n\r\nhi', true), 'hi'],
      [say('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'), 'hi'],
    ];
    for (const [form, text] of forms) {
      answer = form;
      assert.equal(await (await post(open())).text(), text);
    }
  });

  it('throws where an answer breaks off, or is none', async () => {
    const forms: Record<string, (socket: tls.TLSSocket) => void> = {
      'no answer': (socket) => socket.destroy(),
      'half a head': say('HTTP/1.1 200 OK\r\nContent-Le', true),
      'no HTTP': say('220 mail.example ESMTP\r\n\r\n', true),
      'half a body': say('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf', true),
      'half the chunks': say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n', true),
      'a bad chunk': say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n'),
    };
    for (const [what, form] of Object.entries(forms)) {
      answer = form;
      await assert.rejects(async () => (await post(open())).text(), { code: 'unreachable' }, what);
    }
  });

  it('throws when the server closes a connection as soon as it is open', async () => {
    const { cert, key } = certificate;
    const brief = tls.createServer({ cert, key }, (socket) => {
      socket.on('error', () => undefined);
      socket.destroy();
    });
    brief.listen(0, '127.0.0.1');
    await once(brief, 'listening');
    for (let i = 0; i < 20; i++) {
      await assert.rejects(async () => (await post(open(portOf(brief)))).text(), { code: 'unreachable' });
    }
    brief.close();
  });

  it('row "identity": believes no certificate before its holder has proved that it has the key', async () => {
    const { cert, key } = certificate;
    const taken: string[] = [];
    const strict = tls.createServer({ cert, key, maxVersion: 'TLSv1.2' }, (socket) => {
      socket.on('data', (data) => taken.push(data.toString()));
      socket.on('error', () => undefined);
    });
    strict.listen(0, '127.0.0.1');
    await once(strict, 'listening');
    // The end of the server's first flight: its signature, and nine bytes that say that it is done.
    const forger = net.createServer((near) => {
      const far = net.connect(portOf(strict), '127.0.0.1');
      near.pipe(far);
      far.once('data', (flight) => {
        const signature = flight.length - 9 - 5;
        flight.writeUInt8((flight[signature] ?? 0) ^ 1, signature);
        near.write(flight);
        far.pipe(near);
      });
      for (const [one, other] of [[near, far] as const, [far, near] as const]) {
        one.on('error', () => other.destroy()).on('close', () => other.destroy());
      }
    });
    forger.listen(0, '127.0.0.1');
    await once(forger, 'listening');
    await assert.rejects(post(open(portOf(forger)), 'secret'), { code: 'unreachable' });
    await assert.rejects(runtime.peerCertificate({ host: '127.0.0.1', port: portOf(forger) }, 5000), {
      code: 'unreachable',
    });
    assert.deepEqual(taken, []);
    forger.close();
    strict.close();
  });

  it('uses a connection again, and one more only for a request at the same time', async () => {
    answer = say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    const channel = open();
    for (let i = 0; i < 3; i++) assert.equal(await (await post(channel)).text(), 'hi');
    assert.equal(sockets.length, 1);
    const waiting: tls.TLSSocket[] = [];
    answer = (socket) => waiting.push(socket);
    const both = [post(channel), post(channel)];
    await waitFor('both requests', () => waiting.length === 2);
    assert.equal(new Set(waiting).size, 2);
    for (const socket of waiting) say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi')(socket);
    for (const response of await Promise.all(both)) assert.equal(await response.text(), 'hi');
  });

  it('does not use a connection again that the server has closed, or says it will', async () => {
    const channel = open();
    answer = say('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi');
    for (let i = 1; i <= 2; i++) {
      assert.equal(await (await post(channel)).text(), 'hi');
      assert.equal(sockets.length, i);
    }
    answer = say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    await (await post(channel)).text();
    const last = sockets.at(-1);
    const closed = last && once(last, 'close');
    last?.destroy();
    await closed;
    await waitFor('the channel to notice', async () =>
      (await post(channel)).text().then(
        () => true,
        () => false,
      ),
    );
    assert.equal(sockets.length, 4);
  });

  it('sends and reads bodies that fill every buffer', async () => {
    let received = 0;
    answer = (socket, part) => {
      received += part.length;
      socket.removeAllListeners('data');
      socket.on('data', (more: string) => {
        received += more.length;
        if (received < BIG) return;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${BIG}\r\n\r\n`);
        socket.write(Buffer.alloc(BIG, 'b'));
      });
    };
    const response = await post(open(), Buffer.alloc(BIG, 'a'));
    assert.ok(received > BIG);
    const text = await response.text();
    assert.equal(text.length, BIG);
    assert.equal(/[^b]/.exec(text), null);
  });

  // A server's socket on Deno does not say what waits in it, so nothing can be seen there.
  if (runtime.name !== 'deno') {
    it('lets a server wait whose answer is not read', async () => {
      answer = (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${8 * BIG}\r\n\r\n`);
        socket.write(Buffer.alloc(8 * BIG, 'b'));
      };
      const parts = (await post(open())).stream()[Symbol.asyncIterator]();
      await parts.next();
      const [socket] = sockets;
      let left = -1;
      // What the kernel's buffers take ends somewhere; then nothing moves any more.
      await waitFor('the server to wait', async () => {
        const before_ = socket?.writableLength ?? 0;
        await new Promise((resolve) => {
          setTimeout(resolve, 200);
        });
        left = socket?.writableLength ?? 0;
        return left === before_;
      });
      assert.ok(left > 0, 'all of it was taken');
      await parts.return?.(undefined);
    });
  }

  it('row "what a client reads": an answer without an end is an error within 16 MiB', async () => {
    const chunk = `100000\r\n${'x'.repeat(1024 * 1024)}\r\n`;
    let sent = 0;
    answer = (socket) => {
      const more = (): void => {
        while (!socket.destroyed) {
          sent += chunk.length;
          if (!socket.write(chunk)) return void socket.once('drain', more);
        }
      };
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      more();
    };
    const response = await post(open());
    await assert.rejects(response.text(), { code: 'internal', message: /longer than 16 MiB/ });
    await waitFor('the client to close', () => sockets.every(({ destroyed }) => destroyed));
    // What is under way in the system's buffers, and in those of client and server, comes on top.
    assert.ok(sent < 48 * 1024 * 1024, `${sent} bytes were sent`);
  });

  it('answers the next request although nobody has read the last answer yet', async () => {
    // The last byte makes it more than may wait.
    const size = 1024 * 1024 + 1;
    answer = say(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${'b'.repeat(size)}`);
    const channel = open();
    const unread = await post(channel);
    await waitFor('all of it to be sent', () => sockets.every((socket) => socket.writableLength === 0));
    answer = say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    for (let i = 0; i < 3; i++) assert.equal(await (await post(channel)).text(), 'hi');
    assert.equal((await unread.text()).length, size);
  });

  it('closes the connection of an answer that is read no further, and goes on with another', async () => {
    answer = say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n');
    const channel = open();
    for await (const part of (await post(channel)).stream()) {
      assert.equal(Buffer.from(part).toString(), 'hi');
      break;
    }
    const [socket] = sockets;
    await waitFor('the connection to be closed', () => socket?.destroyed === true);
    answer = say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    assert.equal(await (await post(channel)).text(), 'hi');
  });

  it('closes all connections when it is closed', async () => {
    answer = say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n');
    const channel = open();
    const response = await post(channel);
    channel.close();
    await assert.rejects(response.text(), { code: 'unreachable' });
    const [socket] = sockets;
    await waitFor('the connection to be closed', () => socket?.destroyed === true);
  });

  it('refuses a header that would be two', async () => {
    let heard = '';
    answer = (socket, request) => {
      heard += request;
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    };
    const channel = open();
    const headers = { 'x-name': 'value\r\nx-other: value' };
    await assert.rejects(channel.request({ method: 'POST', path: '/x', headers }), (error: Error) => {
      assert.match(error.message, /x-name/);
      // It may be a key.
      assert.doesNotMatch(error.message, /value/);
      return true;
    });
    await (await post(channel, 'next')).text();
    assert.doesNotMatch(heard, /x-other/i);
  });
});
