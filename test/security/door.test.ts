import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { MAX_BODY_BYTES } from '../../src/api/requests/request-parameters.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { launchers, run, type RunningBroker, startBroker } from '../support/programs/programs.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { connectRaw, type RawAnswer, sendRaw } from '../support/network/raw.ts';
import { tempDir } from '../support/temp.ts';
import { lacking } from '../support/programs/tools.ts';
import { skipOf } from '../programs/support.ts';

/** Rows of the security page about what comes before a call, shown on the real programs. */

const headers = (count: number, size = 1): string =>
  Array.from({ length: count }, (_, i) => `a${i}: ${'b'.repeat(size)}\r\n`).join('');
const get = (more: string, host = 'Host: x\r\n'): string => `GET /healthz HTTP/1.1\r\n${host}${more}\r\n`;
const old = { ciphers: 'DEFAULT:@SECLEVEL=0', minVersion: 'TLSv1' } as const;

const noOpenssl = lacking('openssl');

for (const launcher of launchers) {
  describe(`the door of a broker on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    let broker: RunningBroker;
    const send = (text: string, responses = 1): Promise<RawAnswer> =>
      sendRaw(broker.port, text, { responses });
    before(async () => {
      broker = await startBroker(launcher);
    });
    after(() => broker.kill());

    it('row "TLS 1.2 is the floor": refuses 1.0 and 1.1, takes 1.2 and 1.3', async () => {
      for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const)
        await assert.rejects(connectRaw(broker.port, { ...old, maxVersion }), /alert|handshake/i, maxVersion);
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const socket = await connectRaw(broker.port, { minVersion: version, maxVersion: version });
        assert.equal(socket.getProtocol(), version);
        socket.destroy();
      }
    });

    it(
      'row "TLS 1.2 is the floor": takes AEAD ciphers alone, with a certificate of RSA too',
      { skip: noOpenssl },
      async () => {
        const dir = tempDir();
        const [ssl_cert = '', ssl_key = ''] = ['rsa.crt', 'rsa.key'].map((file) => path.join(dir, file));
        const make = `req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=x -out ${ssl_cert} -keyout ${ssl_key}`;
        await run(['openssl', ...make.split(' ')]);
        const withRsa = await startBroker(launcher, { config: { api: { ssl_cert, ssl_key } } });
        for (const [{ port }, key] of [
          [broker, 'ECDSA'],
          [withRsa, 'RSA'],
        ] as const) {
          for (const rest of ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305']) {
            const ciphers = `ECDHE-${key}-${rest}`;
            const socket = await connectRaw(port, { ciphers, maxVersion: 'TLSv1.2' });
            assert.equal(socket.getCipher().name, ciphers);
            socket.destroy();
          }
          for (const rest of ['AES128-SHA', 'AES256-SHA', 'AES128-SHA256', 'AES256-SHA384']) {
            const ciphers = `ECDHE-${key}-${rest}:@SECLEVEL=0`;
            await assert.rejects(connectRaw(port, { ciphers, maxVersion: 'TLSv1.2' }), /handshake/i, ciphers);
          }
        }
        await withRsa.kill();
      },
    );

    it('row "headers": over 16 KiB, and over 198 of them, is 431', async () => {
      assert.equal((await send(get(headers(1, 20_000)))).status, 431);
      assert.equal((await send(get(headers(40, 500)))).status, 431);
      for (const count of [250, 1500]) {
        const { status, closed } = await send(get(headers(count)), 2);
        assert.deepEqual({ status, closed }, { status: 431, closed: true }, `${count} headers`);
      }
      assert.equal((await send(get(headers(190)))).status, 200);
      assert.equal((await send(get(headers(10, 1200)))).status, 200);
    });

    it('row "framing": a bad end of a chunk is 400 and closed, and what follows is not taken', async () => {
      const body = 'Host: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n';
      const next = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';
      for (const call of [
        'POST /services/Get',
        'GET /services/Get?name=a',
        'POST /identity',
        'GET /healthz',
        'GET /status',
        'GET /metrics',
        'GET /',
        'PUT /services/Get',
        'POST /nothing',
        'POST /discover',
      ]) {
        // Where nothing reads the body, the answer may be under way before its end has come.
        const { closed, text } = await send(`${call} HTTP/1.1\r\n${body}${next}`, 3);
        const statuses = text.match(/HTTP\/1\.1 \d+/g) ?? [];
        assert.ok(closed && statuses.length <= 2, `${call}: ${text}`);
        assert.equal(statuses.at(-1), 'HTTP/1.1 400', `${call}: ${text}`);
      }
    });

    it('row "framing": a Host that is none is 400, and misleads nobody about the path', async () => {
      for (const host of ['', 'a b', 'x/services/Get?', 'x#', 'x\\y', 'u@x']) {
        const { status, text } = await send(get('', `Host: ${host}\r\n`), 1);
        assert.equal(status, 400, `${host}: ${text}`);
      }
      assert.equal((await send('GET /healthz HTTP/1.0\r\n\r\n')).status, 400);
    });

    it('row "body": a chunked one over the limit is 413, before any module sees it', async () => {
      // One byte too many, and no more: what a closed connection leaves unread would take the answer with it.
      const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`;
      const body = chunk.repeat(MAX_BODY_BYTES / 65_536);
      const { status } = await sendRaw(
        broker.port,
        `POST /services/Replace?name=big&data=x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${body}1\r\n \r\n`,
        { responses: 1, silenceMs: 5000 },
      );
      assert.equal(status, 413);
      const there = await send('GET /services/Get?name=big HTTP/1.1\r\nHost: x\r\n\r\n');
      assert.equal(there.status, 404);
    });

    it('row "body": a length over the limit is 413 at once', async () => {
      const { status } = await send(
        `POST /ping/Ping HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${MAX_BODY_BYTES + 1}\r\n\r\n{`,
      );
      assert.equal(status, 413);
    });

    it('row "errors": what goes wrong inside is said without a stack or a path', async () => {
      for (const at of ['/services/%00', '/services/constructor', '/constructor/x', '/%', '/services/']) {
        const { status, text } = await send(`GET ${at} HTTP/1.1\r\nHost: x\r\n\r\n`);
        assert.equal(status, 404, at);
        assert.doesNotMatch(text, /\n\s+at |node_modules|\.ts\b|\.js\b/, at);
      }
      assert.equal(
        (await send('GET /services/__proto__ HTTP/1.1\r\nHost: x\r\n\r\n')).status,
        403,
        'private',
      );
    });
  });

  it(
    `row "TLS 1.2 is the floor": a client on ${launcher.name} sends nothing below it`,
    { skip: skipOf(launcher) },
    async () => {
      const { cert, key, fingerprint } = await makeCertificate();
      const received: string[] = [];
      const serve = async (port: number, versions: tls.TlsOptions): Promise<tls.Server> => {
        const server = tls.createServer({ cert, key, ...versions }, (socket) => {
          received.push('');
          socket.on('data', (bytes) => received.push(bytes.toString('latin1')));
          socket.on('error', () => undefined);
        });
        server.on('tlsClientError', () => undefined);
        server.listen(port, '127.0.0.1');
        await once(server, 'listening');
        return server;
      };
      const home = tempDir();
      const ping = async (port: number, ...more: string[]): Promise<number | undefined> => {
        const where = ['--bpbroker', `127.0.0.1:${port}`, '--timeout', '3s', '--access-key', 'secret'];
        const options = { env: cleanEnv(home), cwd: home };
        return (await run([...launcher.bpclient, ...where, 'ping', ...more], options)).code;
      };
      // Its identity is kept, and its certificate with it: the way that checks it in the handshake is then open.
      const met = await serve(0, {});
      const { port } = met.address() as AddressInfo;
      assert.equal(await ping(port), 6, 'it never answers');
      assert.match(received.join(''), /secret/);
      await new Promise((resolve) => met.close(resolve));
      received.length = 0;
      const server = await serve(port, { ...old, maxVersion: 'TLSv1.1' });
      assert.equal(await ping(port), 6, 'met');
      assert.equal(await ping(port, '--fingerprint', fingerprint), 6, 'pinned');
      const known = path.join(home, 'config', 'bpbroker', 'known_brokers');
      assert.ok(existsSync(known));
      rmSync(known);
      assert.equal(await ping(port), 6, 'first contact');
      assert.deepEqual(received, []);
      // The control: a client that takes 1.1 does get through.
      (await connectRaw(port, { ...old, maxVersion: 'TLSv1.1' })).destroy();
      assert.deepEqual(received, ['']);
      server.close();
    },
  );
}
