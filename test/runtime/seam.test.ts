import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { runtime } from '#runtime';
import type { Certificate } from '../../src/broker/certificate.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import type { ConnectionInfo } from '../../src/protocol/connection.ts';
import type { Channel, ChannelResponse, HttpServer, Pin } from '../../src/runtime/runtime.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { waitFor } from '../support/wait.ts';

/** What every runtime's seam must do; this file runs on Node, Bun and Deno alike. */

const MAX_BODY = 100_000;

interface Serving {
  readonly server: HttpServer;
  readonly certificate: Certificate;
}

async function serve(
  fetch: (request: Request, connection: ConnectionInfo) => Response | Promise<Response>,
  more: {
    hostname?: string;
    port?: number;
    headersTimeoutMs?: number;
    requestTimeoutMs?: number;
    certificate?: Certificate;
  } = {},
): Promise<Serving> {
  const certificate = more.certificate ?? (await makeCertificate());
  const server = await runtime.serve({
    hostname: more.hostname ?? '127.0.0.1',
    port: more.port ?? 0,
    cert: certificate.cert,
    key: certificate.key,
    maxBodyBytes: MAX_BODY,
    headersTimeoutMs: more.headersTimeoutMs ?? 10_000,
    requestTimeoutMs: more.requestTimeoutMs ?? 30_000,
    fetch,
  });
  return { server, certificate };
}

function open(port: number, pin: Pin): Channel {
  const mismatch = (presented: string): BrokerError => new BrokerError('identity_mismatch', presented);
  return runtime.openChannel({ host: '127.0.0.1', port, pin, mismatch });
}

const post = (channel: Channel, body: string, signal?: AbortSignal): Promise<ChannelResponse> =>
  channel.request({
    method: 'POST',
    path: '/a/b?c=d',
    headers: { 'content-type': 'application/json', authorization: 'Bearer secret-key' },
    body,
    ...(signal ? { signal } : {}),
  });

describe(`serve() on ${runtime.name}`, () => {
  let serving: Serving;
  const answers: Record<string, unknown>[] = [];

  before(async () => {
    serving = await serve(async (request, connection) => {
      const url = new URL(request.url);
      const answer = {
        method: request.method,
        path: url.pathname,
        query: url.search,
        address: connection.remoteAddress,
      };
      const body = await request.text();
      answers.push({ ...answer, body });
      return Response.json({ ...answer, body });
    });
  });
  after(() => serving.server.close(0));

  /** Sends raw text over TLS and returns what comes back until the server closes, or a second of silence. */
  async function raw(text: string): Promise<{ status: string; closed: boolean }> {
    const socket = tls.connect({ port: serving.server.port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    let got = '';
    socket.setEncoding('latin1').on('data', (part: string) => (got += part));
    socket.on('error', () => undefined);
    const closed = once(socket, 'close').then(() => true);
    socket.write(text);
    const silence = new Promise<boolean>((resolve) => {
      setTimeout(resolve, 1500, false);
    });
    const ended = await Promise.race([closed, silence]);
    socket.destroy();
    return { status: got.slice(9, 12), closed: ended };
  }

  it('hands the request over as it was sent, with the address of the client', async () => {
    const channel = open(serving.server.port, { fingerprint: serving.certificate.fingerprint });
    const response = await post(channel, '{"x": "ü"}');
    assert.equal(response.status, 200);
    assert.match(response.header('content-type') ?? '', /^application\/json/);
    assert.deepEqual(JSON.parse(await response.text()), {
      method: 'POST',
      path: '/a/b',
      query: '?c=d',
      address: '127.0.0.1',
      body: '{"x": "ü"}',
    });
    channel.close();
  });

  it('row "framing": refuses ambiguous framing with 400 and closes', async () => {
    const cases: Record<string, string> = {
      'both lengths':
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'two lengths': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
      'a space before the colon':
        'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
      'a folded header': 'GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n',
      'no host': 'GET / HTTP/1.1\r\n\r\n',
      'two hosts': 'GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n',
      'a bad chunk terminator':
        'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n',
    };
    const before_ = answers.length;
    for (const [what, text] of Object.entries(cases)) {
      const { status, closed } = await raw(text);
      assert.deepEqual({ status, closed }, { status: '400', closed: true }, what);
    }
    // The body of the last one is read, and found wrong, by the handler.
    assert.equal(answers.length, before_);
  });

  it('row "headers": refuses headers over 16 KiB with 431', async () => {
    const { status } = await raw(`GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(20_000)}\r\n\r\n`);
    assert.equal(status, '431');
  });

  it('rejects with EADDRINUSE where the port is taken', async () => {
    const { port } = serving.server;
    const { certificate } = serving;
    await assert.rejects(
      serve(() => new Response(''), { port, certificate }),
      { code: 'EADDRINUSE' },
    );
  });

  it('listens on every interface, IPv4 and IPv6, for an empty address, and reports plain IPv4 addresses', async () => {
    const { certificate } = serving;
    const all = await serve((_, { remoteAddress }) => new Response(remoteAddress), {
      hostname: '',
      certificate,
    });
    const channel = open(all.server.port, { fingerprint: certificate.fingerprint });
    assert.equal(await (await post(channel, '')).text(), '127.0.0.1');
    channel.close();
    await all.server.close(0);
  });

  it('streams an answer as it comes, and lets it take its time after keepOpen()', async () => {
    const { certificate } = serving;
    const parts = ['one ', 'two ', 'three'];
    const slow = await serve(
      (_, connection) => {
        connection.keepOpen();
        const body = new ReadableStream<Uint8Array>({
          async pull(controller) {
            await new Promise((resolve) => {
              setTimeout(resolve, 700);
            });
            const part = parts.shift();
            if (part === undefined) controller.close();
            else controller.enqueue(new TextEncoder().encode(part));
          },
        });
        return new Response(body);
      },
      { certificate, headersTimeoutMs: 1000 },
    );
    const channel = open(slow.server.port, {
      fingerprint: certificate.fingerprint,
      certificate: certificate.cert,
    });
    const seen: string[] = [];
    for await (const chunk of (await post(channel, '')).stream()) seen.push(new TextDecoder().decode(chunk));
    assert.deepEqual(seen, ['one ', 'two ', 'three']);
    channel.close();
    await slow.server.close(0);
  });

  it('row "slow clients": cuts off clients that send headers too slowly, and serves others meanwhile', async () => {
    const { certificate } = serving;
    const strict = await serve(() => new Response('ok'), { certificate, headersTimeoutMs: 1000 });
    const socket = tls.connect({ port: strict.server.port, host: '127.0.0.1', rejectUnauthorized: false });
    let closed = false;
    socket.on('close', () => (closed = true));
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n');
    const drip = setInterval(() => socket.write('A'), 300);
    const channel = open(strict.server.port, { fingerprint: certificate.fingerprint });
    assert.equal(await (await post(channel, '')).text(), 'ok');
    await waitFor('the slow client to be cut off', () => closed, 15_000);
    clearInterval(drip);
    channel.close();
    await strict.server.close(0);
  });

  it('row "slow clients": cuts off clients that send a body too slowly', async () => {
    const { certificate } = serving;
    const strict = await serve(
      async (request, connection) => {
        connection.awaitBody();
        return new Response(await request.text());
      },
      { certificate, headersTimeoutMs: 1000, requestTimeoutMs: 2000 },
    );
    const socket = tls.connect({ port: strict.server.port, host: '127.0.0.1', rejectUnauthorized: false });
    let closed = false;
    socket.on('close', () => (closed = true));
    socket.on('error', () => undefined);
    socket.resume();
    await once(socket, 'secureConnect');
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n');
    const drip = setInterval(() => socket.write('A'), 300);
    await waitFor('the slow client to be cut off', () => closed, 20_000);
    clearInterval(drip);
    await strict.server.close(0);
  });

  it('lets requests under way finish when it closes', async () => {
    const { certificate } = serving;
    let begun = false;
    const slow = await serve(
      async () => {
        begun = true;
        await new Promise((resolve) => {
          setTimeout(resolve, 300);
        });
        return new Response('done');
      },
      { certificate },
    );
    const channel = open(slow.server.port, { fingerprint: certificate.fingerprint });
    const answer = post(channel, '').then((response) => response.text());
    await waitFor('the request to begin', () => begun);
    await slow.server.close(5000);
    assert.equal(await answer, 'done');
    channel.close();
  });
});

describe(`openChannel() on ${runtime.name}`, () => {
  let serving: Serving;
  let other: Certificate;

  before(async () => {
    serving = await serve(() => new Response('ok'));
    other = await makeCertificate();
  });
  after(() => serving.server.close(0));

  it('talks to the broker whose certificate is pinned, with the certificate at hand and without', async () => {
    const { fingerprint, cert } = serving.certificate;
    for (const pin of [{ fingerprint }, { fingerprint, certificate: cert }]) {
      const channel = open(serving.server.port, pin);
      for (const _ of [1, 2]) assert.equal(await (await post(channel, '{}')).text(), 'ok');
      channel.close();
    }
  });

  it('row "identity": sends not one byte of a request to a broker with another certificate', async () => {
    const received: Buffer[] = [];
    const { cert, key } = serving.certificate;
    const recorder = tls.createServer({ cert, key }, (socket) => {
      socket.on('data', (data) => received.push(data));
      socket.on('error', () => undefined);
    });
    recorder.listen(0, '127.0.0.1');
    await once(recorder, 'listening');
    const { port } = recorder.address() as net.AddressInfo;
    for (const pin of [
      { fingerprint: other.fingerprint },
      { fingerprint: other.fingerprint, certificate: other.cert },
    ]) {
      const channel = open(port, pin);
      await assert.rejects(post(channel, '{"secret": 1}'), {
        code: 'identity_mismatch',
        message: serving.certificate.fingerprint,
      });
      channel.close();
    }
    recorder.close();
    assert.equal(Buffer.concat(received).toString(), '');
  });

  it('returns the certificate that a broker presents', async () => {
    const { port } = serving.server;
    const presented = await runtime.peerCertificate({ host: '127.0.0.1', port }, 5000);
    assert.equal(presented.fingerprint, serving.certificate.fingerprint);
    assert.equal(presented.certificate.trim(), serving.certificate.cert.trim());
  });

  it('says why no connection came about', async () => {
    const free = net.createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address() as net.AddressInfo;
    free.close();
    await once(free, 'close');
    const refused = {
      code: 'unreachable',
      message: `No broker reached at 127.0.0.1:${port}: connection refused`,
    };
    const { fingerprint, cert } = serving.certificate;
    for (const pin of [{ fingerprint }, { fingerprint, certificate: cert }]) {
      await assert.rejects(post(open(port, pin), ''), refused);
    }
    await assert.rejects(runtime.peerCertificate({ host: '127.0.0.1', port }, 5000), refused);
  });

  it('gives up in time on a peer that never shakes hands', async () => {
    const sockets: net.Socket[] = [];
    const mute = net.createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const { port } = mute.address() as net.AddressInfo;
    await assert.rejects(runtime.peerCertificate({ host: '127.0.0.1', port }, 300), {
      code: 'unreachable',
      message: /connection timed out/,
    });
    for (const socket of sockets) socket.destroy();
    mute.close();
  });

  it('throws the reason of an aborted signal', async () => {
    const { certificate } = serving;
    const hanging = await serve(() => new Promise(() => undefined), { certificate });
    for (const pin of [
      { fingerprint: certificate.fingerprint },
      { fingerprint: certificate.fingerprint, certificate: certificate.cert },
    ]) {
      const channel = open(hanging.server.port, pin);
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error('enough')), 200);
      await assert.rejects(post(channel, '{}', controller.signal), { message: 'enough' });
      channel.close();
    }
    await hanging.server.close(0);
  });
});
