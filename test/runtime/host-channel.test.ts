import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { runtime } from '#runtime';
import { parseAuthorities, readAuthorities, systemAuthorities } from '../../src/runtime/tls/authorities.ts';
import type { HostCertificate } from '../../src/runtime/runtime.ts';
import { type Authority, createAuthority, type Leaf, type LeafPair } from '../support/network/authority.ts';
import { tempDir } from '../support/temp.ts';

/** Whom a runtime vouches for; this file runs on Node, Bun and Deno alike. */

describe(`openSite() on ${runtime.name}`, () => {
  let authority: Authority;
  let other: Authority;
  const servers: tls.Server[] = [];
  const taken: string[] = [];

  before(async () => {
    authority = await createAuthority();
    other = await createAuthority('another authority');
  });
  after(() => {
    for (const server of servers) server.close();
  });

  /** A server that records what it is sent, and answers it. */
  async function serve(certificate: LeafPair, address = '127.0.0.1'): Promise<number> {
    const server = tls.createServer(certificate, (socket) => {
      socket.on('data', (data) => {
        taken.push(data.toString());
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi');
      });
      socket.on('error', () => undefined);
    });
    server.on('tlsClientError', () => undefined);
    server.listen(0, address);
    await once(server, 'listening');
    servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  /** Sends a request to a site unless it is refused; returns what the runtime says of it. */
  async function ask(port: number, host: string, authorities: readonly string[]): Promise<HostCertificate> {
    let seen: HostCertificate | undefined;
    const channel = await runtime.openHostChannel({
      host,
      port,
      authorities,
      judge(presented) {
        seen = presented;
        if (!presented.isVouchedFor) throw new Error('refused');
      },
    });
    try {
      const request = { method: 'POST', path: '/', headers: { host: 'h', key: 'secret' }, body: 'secret' };
      const { text } = await channel.request(request);
      assert.equal(await text(), 'hi');
    } catch (error) {
      if (seen === undefined || seen.isVouchedFor) throw error;
    } finally {
      channel.close();
    }
    assert.ok(seen);
    return seen;
  }

  const fine: Record<string, [Leaf, host: string]> = {
    'its name': [{ names: ['localhost'] }, 'localhost'],
    'one of several names': [{ names: ['a.test', 'localhost'] }, 'localhost'],
    'its address': [{ ips: ['127.0.0.1'] }, '127.0.0.1'],
    'its IPv6 address': [{ ips: ['::1'] }, '::1'],
    'its name, by way of an authority between': [{ names: ['localhost'], chained: true }, 'localhost'],
  };
  for (const [what, [leaf, host]] of Object.entries(fine)) {
    it(`vouches for a certificate for ${what}`, async () => {
      const port = await serve(await authority.sign(leaf), host === '::1' ? host : undefined);
      const takenBefore = taken.length;
      for (const authorities of [[authority.cert], [other.cert, authority.cert]])
        assert.equal((await ask(port, host, authorities)).isVouchedFor, true);
      assert.equal(taken.length, takenBefore + 2);
    });
  }

  const wrong: Record<string, [Leaf, host: string]> = {
    'another name': [{ names: ['other.test'] }, 'localhost'],
    'a name, of an address': [{ names: ['localhost'] }, '127.0.0.1'],
    'an address, of a name': [{ ips: ['127.0.0.1'] }, 'localhost'],
    'another address': [{ ips: ['127.0.0.2'] }, '127.0.0.1'],
    'no name at all': [{}, 'localhost'],
    'yesterday at the latest': [{ names: ['localhost'], validity: 'over' }, 'localhost'],
    'tomorrow at the earliest': [{ names: ['localhost'], validity: 'to come' }, 'localhost'],
  };
  for (const [what, [leaf, host]] of Object.entries(wrong)) {
    it(`row "authorities": vouches for no certificate for ${what}, and sends nothing`, async () => {
      const port = await serve(await authority.sign(leaf));
      const takenBefore = taken.length;
      assert.equal((await ask(port, host, [authority.cert])).isVouchedFor, false);
      assert.equal(taken.length, takenBefore);
    });
  }

  it('row "authorities": vouches for nobody by other authorities than those given, also after it has by one', async () => {
    const pair = await authority.sign({ names: ['localhost'] });
    const port = await serve(pair);
    assert.equal((await ask(port, 'localhost', [authority.cert])).isVouchedFor, true);
    const takenBefore = taken.length;
    assert.equal((await ask(port, 'localhost', [other.cert])).isVouchedFor, false);
    assert.equal((await ask(port, 'localhost', systemAuthorities({}))).isVouchedFor, false);
    assert.equal(taken.length, takenBefore);
  });

  it('says which certificate was presented', async () => {
    const pair = await authority.sign({ names: ['localhost'] });
    const port = await serve(pair);
    for (const authorities of [[authority.cert], [other.cert]]) {
      const { certificate, fingerprint } = await ask(port, 'localhost', authorities);
      assert.match(fingerprint, /^[0-9a-f]{64}$/);
      assert.equal(certificate.replaceAll(/\s/g, ''), pair.cert.replaceAll(/\s/g, ''));
    }
  });
});

describe(`the authorities on ${runtime.name}`, () => {
  it('of the system are those of its store', () => {
    const found = systemAuthorities({});
    assert.ok(found.length > 20, `${found.length}`);
    for (const pem of found) assert.match(pem, /^-----BEGIN CERTIFICATE-----/);
  });

  it('are those of SSL_CERT_FILE in their place, with those of NODE_EXTRA_CA_CERTS', async () => {
    const dir = tempDir();
    const files = await Promise.all(
      ['one', 'two'].map(async (name) => {
        const { cert } = await createAuthority(name);
        writeFileSync(path.join(dir, name), `# a comment\n${cert}`);
        return { file: path.join(dir, name), cert: cert.trim() };
      }),
    );
    const [one, two] = files;
    assert.ok(one && two);
    assert.deepEqual(systemAuthorities({ SSL_CERT_FILE: one.file }), [one.cert]);
    assert.deepEqual(systemAuthorities({ SSL_CERT_FILE: one.file, NODE_EXTRA_CA_CERTS: two.file }), [
      one.cert,
      two.cert,
    ]);
    assert.deepEqual(systemAuthorities({ NODE_EXTRA_CA_CERTS: two.file }).at(-1), two.cert);
    assert.throws(() => systemAuthorities({ SSL_CERT_FILE: path.join(dir, 'three') }), {
      code: 'usage',
      message: /^Cannot read the file of SSL_CERT_FILE, .*three: there is no such file/,
    });
  });

  it('are refused where a file holds none, or a malformed one', async () => {
    const { cert } = await createAuthority();
    const none = /^--ca FILE holds no certificate: expected PEM/;
    const malformed = /^--ca FILE holds a certificate \(number 2\) that is malformed$/;
    const texts: [string, RegExp][] = [
      ['', none],
      ['a text', none],
      ['-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', none],
      [`${cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`, malformed],
      [`${cert}${cert.slice(0, 200)}`, malformed],
    ];
    for (const [text, message] of texts)
      assert.throws(() => parseAuthorities(text, '--ca FILE'), { code: 'usage', message }, text);
    const dir = path.join(tempDir(), 'folder');
    mkdirSync(dir);
    assert.throws(() => readAuthorities(dir, '--ca'), {
      code: 'usage',
      message: /^Cannot read --ca .*folder: /,
    });
  });
});
