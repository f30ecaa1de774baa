import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { runtime } from '#runtime';
import type { Certificate } from '../../src/broker/certificate.ts';
import { openDescriptors } from '../../src/runtime/system/descriptors.ts';
import type { HttpServer, ServeOptions } from '../../src/runtime/runtime.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { connectRaw } from '../support/network/raw.ts';
import { waitFor } from '../support/wait.ts';

/** What a server owes to its other clients of each connection; this file runs on Node, Bun and Deno alike. */

/** Not on Deno, which reads on from a paused socket: `test/security/unread.test.ts` shows the rule on its program. */
const unreadIt = runtime.name === 'deno' ? (): void => undefined : it;

const get = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

describe(`connections of a server on ${runtime.name}`, () => {
  let certificate: Certificate;
  const servers: HttpServer[] = [];
  const sockets: net.Socket[] = [];

  before(async () => {
    certificate = await makeCertificate();
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) await server.close(0);
  });

  async function serve(options: Partial<ServeOptions>): Promise<HttpServer> {
    const server = await runtime.serve({
      hostname: '127.0.0.1',
      port: 0,
      cert: certificate.cert,
      key: certificate.key,
      maxBodyBytes: 100_000,
      headersTimeoutMs: 1000,
      requestTimeoutMs: 30_000,
      fetch: () => new Response('ok'),
      ...options,
    });
    servers.push(server);
    return server;
  }

  /** Whether the server has closed the connection. What it sends is read only if `read` says so. */
  function watched<T extends net.Socket>(socket: T, read = true): T & { over: () => boolean } {
    let over = false;
    sockets.push(socket);
    if (read) socket.resume();
    socket.on('error', () => undefined);
    socket.on('close', () => (over = true));
    socket.on('end', () => (over = true));
    return Object.assign(socket, { over: () => over });
  }

  async function tcp(port: number, bytes = ''): Promise<net.Socket & { over: () => boolean }> {
    const socket = watched(net.connect(port, '127.0.0.1'));
    await once(socket, 'connect');
    socket.write(bytes);
    return socket;
  }

  async function secure(port: number, text = '', read = true): Promise<net.Socket & { over: () => boolean }> {
    const socket = watched(await connectRaw(port), read);
    if (!read) socket.pause();
    if (text !== '') socket.write(text);
    return socket;
  }

  it('row "handshakes": closes one that shakes no hands, or sends no request after it', async () => {
    const { port } = await serve({});
    const silent = {
      'TCP alone': await tcp(port),
      'half a hello': await tcp(port, '\x16\x03\x01\x00'),
      'TLS alone': await secure(port),
      'half a request': await secure(port, 'GET / HTTP/1.1\r\n'),
    };
    for (const [what, { over }] of Object.entries(silent)) await waitFor(what, over, 20_000);
  });

  it('row "handshakes": close() ends every connection, whatever it is in', async () => {
    const server = await serve({
      headersTimeoutMs: 30_000,
      fetch(request, connection) {
        connection.keepOpen();
        if (request.url.endsWith('/never')) return new Promise<never>(() => undefined);
        const bytes = new Uint8Array(100_000);
        return new Response(
          new ReadableStream({
            async pull(controller) {
              await new Promise((resolve) => {
                setTimeout(resolve, 5);
              });
              controller.enqueue(bytes);
            },
          }),
        );
      },
    });
    const open = {
      'TCP alone': await tcp(server.port),
      'half a hello': await tcp(server.port, '\x16\x03\x01\x00'),
      'TLS alone': await secure(server.port),
      'half a request': await secure(server.port, 'GET / HTTP/1.1\r\n'),
      'no answer': await secure(server.port, get.replace('/', '/never')),
      'an answer without end': await secure(server.port, get),
    };
    await secure(server.port, get, false);
    await server.close(500);
    // Linux may keep one that has said nothing from the server, which then has nothing to close.
    open['TCP alone'].write('x');
    for (const [what, { over }] of Object.entries(open)) await waitFor(what, over, 5000);
  });

  void unreadIt('row "unread answers": cuts off who reads nothing of a whole answer', async () => {
    const body = 'x'.repeat(30_000_000);
    const { port } = await serve({ unreadTimeoutMs: 1000, fetch: () => new Response(body) });
    const before_ = openDescriptors();
    const socket = await secure(port, get, false);
    // The client has one, and the server until it closes: a client that reads nothing does not notice that.
    await waitFor('the connection to be open', () => openDescriptors() >= before_ + 2);
    await waitFor('the server to close it', () => openDescriptors() <= before_ + 1, 30_000);
    let read = 0;
    socket.on('data', (part: Buffer) => (read += part.length));
    socket.resume();
    await waitFor('the connection to be closed', socket.over, 20_000);
    assert.ok(read < body.length, `${read} bytes came`);
  });

  it('row "unread answers": sends a long answer to one that reads it slowly', async () => {
    const body = 'x'.repeat(8_000_000);
    const { port } = await serve({ unreadTimeoutMs: 1000, fetch: () => new Response(body) });
    const socket = watched(await connectRaw(port), false);
    let read = 0;
    socket.on('data', (part: Buffer) => {
      read += part.length;
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    });
    socket.write(get);
    await waitFor('all of it', () => read > body.length || socket.over(), 60_000);
    assert.ok(read > body.length, `${read} bytes came`);
  });

  void unreadIt(
    'row "unread answers": answers in order what was sent at once, and no more of it than is read',
    async () => {
      let asked = 0;
      const body = 'x'.repeat(1_000_000);
      const { port } = await serve({
        headersTimeoutMs: 30_000,
        fetch(request) {
          asked++;
          return new Response(`${new URL(request.url).pathname} ${body}`);
        },
      });
      const count = 40;
      const wanted = Array.from({ length: count }, (_, i) => get.replace('/', `/${i}.`)).join('');
      const socket = await secure(port, wanted, false);
      let last = -1;
      await waitFor('the server to stop', async () => {
        const before_ = last;
        last = asked;
        await new Promise((resolve) => {
          setTimeout(resolve, 300);
        });
        return asked > 0 && before_ === asked && last === asked;
      });
      // The system's own buffers take some megabytes.
      assert.ok(asked < count / 2, `${asked} were answered`);
      let text = '';
      socket.setEncoding('latin1');
      socket.on('data', (part: string) => (text += part.replaceAll('x', '')));
      socket.resume();
      await waitFor('the last answer', () => text.includes(`/${count - 1}. `) || socket.over(), 20_000);
      const seen = [...text.matchAll(/\/(\d+)\. /g)].map(([, number]) => Number(number));
      // Bun closes a connection on which a request comes before the last one has been answered.
      const wantedCount = runtime.name === 'bun' ? seen.length : count;
      assert.deepEqual(
        seen,
        Array.from({ length: wantedCount }, (_, i) => i),
      );
    },
  );

  it('row "connections": refuses more than it may have, says so, and takes new ones when there is room', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const server = await serve({
      headersTimeoutMs: 30_000,
      maxConnections: 10,
      async fetch(request, connection) {
        connection.keepOpen();
        if (request.url.endsWith('/held')) await held;
        return new Response('ok');
      },
    });
    assert.equal(server.refusing(), false);
    const statuses = { taken: 0, refused: 0 };
    await Promise.all(
      Array.from({ length: 30 }, async () => {
        try {
          const socket = await secure(server.port, get.replace('/', '/held'), true);
          socket.once('data', (part: Buffer) => {
            if (part.toString('latin1', 9, 12) === '200') statuses.taken++;
          });
          socket.once('close', () => statuses.refused++);
        } catch {
          statuses.refused++;
        }
      }),
    );
    await waitFor('20 to be refused', () => statuses.refused >= 20, 10_000);
    assert.equal(server.refusing(), true);
    release();
    await waitFor('10 to be answered', () => statuses.taken === 10);
    for (const socket of sockets) socket.destroy();
    await waitFor('a new one to be taken', async () => {
      const socket = await secure(server.port, get).catch(() => undefined);
      if (!socket) return false;
      const [bytes] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [unknown];
      socket.destroy();
      return Buffer.isBuffer(bytes) && bytes.toString('latin1', 9, 12) === '200';
    });
  });

  it('row "connections": those of a server that is ending count too', async () => {
    const server = await serve({
      maxConnections: 100,
      otherConnections: () => 100,
      otherDescriptors: openDescriptors() - 100,
    });
    await waitFor('a refusal', async () => {
      (await tcp(server.port).catch(() => undefined))?.destroy();
      return server.refusing();
    });
  });
});
