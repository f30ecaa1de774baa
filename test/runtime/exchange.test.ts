import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { runtime } from '#runtime';
import type { Certificate } from '../../src/broker/certificate.ts';
import type { Exchange, HttpServer } from '../../src/runtime/runtime.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { startTlsServer } from '../support/network/rogue.ts';

const open: { close(graceMs: number): Promise<unknown> }[] = [];
after(() => Promise.all(open.map((one) => one.close(0))));

const request: Exchange = {
  path: '/discover',
  body: Uint8Array.of(0, 1, 254, 255),
  maxBytes: 100,
  timeoutMs: 10_000,
  accept: () => undefined,
};

describe(`exchange() on ${runtime.name}`, () => {
  let certificate: Certificate;
  let server: HttpServer;
  const bodies: string[] = [];
  before(async () => {
    certificate = await makeCertificate();
    server = await runtime.serve({
      hostname: '127.0.0.1',
      port: 0,
      cert: certificate.cert,
      key: certificate.key,
      maxBodyBytes: 1000,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 10_000,
      async fetch(incoming) {
        const body = Buffer.from(await incoming.arrayBuffer());
        bodies.push(`${incoming.method} ${new URL(incoming.url).pathname} ${body.toString('hex')}`);
        if (body.length > 4) return new Response(new Uint8Array(101));
        return new Response(Uint8Array.of(255, 0, 10), { status: 203 });
      },
    });
    open.push(server);
  });

  it('sends the bytes, and returns answer and certificate of one connection', async () => {
    const { certificate: presented, status, body } = await runtime.exchange(at(server), request);
    assert.equal(presented.fingerprint, certificate.fingerprint);
    assert.match(presented.certificate, /^-----BEGIN CERTIFICATE-----/);
    assert.deepEqual([status, [...body], bodies.at(-1)], [203, [255, 0, 10], 'POST /discover 0001feff']);
  });

  it('reads no more than its limit', async () => {
    const { body } = await runtime.exchange(at(server), { ...request, body: new Uint8Array(5) });
    assert.equal(body.length, 0);
  });

  it('sends nothing to one whose certificate is refused', async () => {
    const recorder = await startTlsServer(certificate, '127.0.0.1');
    open.push(recorder);
    const accept = (fingerprint: string): void => {
      throw new Error(`not ${fingerprint}`);
    };
    await assert.rejects(runtime.exchange(at(recorder), { ...request, accept }), {
      message: `not ${certificate.fingerprint}`,
    });
    assert.deepEqual([recorder.received(), recorder.connections()], ['', 1]);
  });

  it('gives up on a server that does not answer in time, or cannot be reached', async () => {
    const silent = await startTlsServer(certificate, '127.0.0.1', 0, 'silent');
    open.push(silent);
    await assert.rejects(runtime.exchange(at(silent), { ...request, timeoutMs: 300 }), {
      code: 'unreachable',
      message: /timed out/,
    });
    await silent.close();
    await assert.rejects(runtime.exchange(at(silent), request), { code: 'unreachable' });
  });
});

function at({ port }: { readonly port: number }): { host: string; port: number } {
  return { host: '127.0.0.1', port };
}
