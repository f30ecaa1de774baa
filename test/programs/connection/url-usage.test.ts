import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { connect } from '../../../src/client/client.ts';
import type { Authority, LeafPair } from '../../support/network/authority.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { run, type RunningBroker, type RunResult } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { page, startTlsProxy, type TlsProxy } from '../../support/network/tls-proxy.ts';
import { connectTo, reference } from '../support.ts';
import { client, key, openProxied, type Proxied } from './url-support.ts';

/** What a URL may be, what goes with it, and what a proxy may answer. */

let authority: Authority;
let broker: RunningBroker;
let proxy: TlsProxy;
let good: LeafPair;
let urlOf: Proxied['url'];
let own: Proxied['file'];

before(async () => {
  ({ authority, broker, proxy, certificate: good, url: urlOf, file: own } = await openProxied());
  const entry = ['service', 'register', '--name', 'a', '--data', 'b'];
  const made = await broker.client(['--access-key', key, ...entry]);
  assert.equal(made.code, 0, made.stderr);
});

describe('an execution', () => {
  it('that is not at its end is given up at the end of its block', async () => {
    const file = path.join(tempDir(), 'not to come');
    const pinned = await connectTo(broker);
    const ca = authority.cert;
    await using site = await connect({ broker: urlOf(), ca });
    for (const each of [pinned, site]) {
      let read: Promise<unknown>;
      {
        await using execution = await each.execute('slow.Steps', { data: file });
        const parts = execution.output[Symbol.asyncIterator]();
        const { value } = (await parts.next()) as { readonly value: Uint8Array };
        assert.equal(Buffer.from(value).toString(), 'one\n');
        read = parts.next().catch((error: unknown) => error);
      }
      assert.match(String(await read), /The call of slow\.Steps was given up/);
      // A wait at its end has nothing to give up, and the client goes on.
      writeFileSync(`${file} either`, '');
      await using whole = await each.execute('slow.Steps', { data: `${file} either` });
      assert.equal(await whole.text(), 'one\ntwo\n');
    }
  });
});

describe('a URL on the command line', () => {
  const ping = (...args: string[]): Promise<RunResult> => client(reference, [...args, 'ping']);

  it('must be one of https, without a user, a query or a fragment, and no password is repeated', async () => {
    const wrong: Record<string, RegExp> = {
      'http://localhost':
        /^Fatal error: Invalid --bpbroker 'http:\/\/localhost': the URL of a broker begins with https:/,
      'ftp://localhost': /begins with https/,
      'https://': /expected https:\/\/HOST/,
      'https://[::1': /expected https:\/\/HOST/,
      'https://localhost:99999': /expected https:\/\/HOST/,
      'https://localhost:0': /port 0/,
      'https://me:pass-word@localhost': /has no user and no password/,
      'http://me:pass-word@localhost': /begins with https/,
      'https://localhost/a?b=c': /no query and no fragment/,
      'https://localhost/?': /no query and no fragment/,
      'https://localhost/#a': /no query and no fragment/,
    };
    for (const [url, message] of Object.entries(wrong)) {
      const { code, stderr } = await ping('-b', url);
      assert.equal(code, 2, `${url}: ${stderr}`);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /pass-word/);
    }
  });

  it('takes no options that are for other brokers, nor leaves one unheeded', async () => {
    const dir = tempDir();
    const keyFile = path.join(dir, 'discover.key');
    const made = await run([...reference.bpbroker, 'keygen'], { env: cleanEnv(dir), cwd: dir });
    writeFileSync(keyFile, made.stdout);
    const wrong: [readonly string[], RegExp, Record<string, string>?][] = [
      [['-b', urlOf(), '--discover-key-file', keyFile], /A discovery key .*has no meaning beside the URL/],
      [['-b', urlOf()], /A discovery key .*has no meaning/, { BPBROKER_DISCOVER_KEY: made.stdout.trim() }],
      [['-b', urlOf(), '--target', '10.0.0.1'], /Option --target has no meaning/],
      [
        ['-b', '127.0.0.1', '--ca', own('ca.pem')],
        /Option --ca has no meaning without a URL: --bpbroker https/,
      ],
      [['--ca', own('ca.pem')], /Option --ca has no meaning without a URL/],
      [['-b', urlOf(), '--ca', own('nothing.pem')], /Cannot read --ca .*nothing\.pem: there is no such file/],
      [['-b', urlOf(), '--ca', own('empty.pem')], /--ca .*empty\.pem holds no certificate/],
      [['-b', urlOf()], /The variable BPBROKER_CA is empty/, { BPBROKER_CA: '' }],
      [['-b', '127.0.0.1:1'], /The variable BPBROKER_CA is empty/, { BPBROKER_CA: '' }],
    ];
    for (const [args, message, env] of wrong) {
      const { code, stderr } = await client(reference, [...args, 'ping'], env);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    }
    const trust = await client(reference, ['trust', '--bpbroker', 'https://me:pass-word@localhost']);
    assert.equal(trust.code, 2, trust.stderr);
    assert.doesNotMatch(trust.stderr, /pass-word/);
    const ofUrl = await client(reference, ['trust', '--bpbroker', 'https://localhost']);
    assert.equal(ofUrl.code, 2, ofUrl.stderr);
    assert.match(ofUrl.stderr, /no identity is kept for a URL/);
    // A variable for brokers with URLs does not disturb the others.
    const args = ['-b', `127.0.0.1:${broker.port}`, '--quiet', 'ping'];
    assert.equal((await client(reference, args, { BPBROKER_CA: own('nothing.pem') })).code, 0);
  });

  it('is no first contact: nothing is kept, and nothing said', async () => {
    const home = tempDir();
    const command = [...reference.bpclient, '-b', urlOf(), '--ca', own('ca.pem'), 'ping'];
    const { code, stderr } = await run(command, { env: cleanEnv(home), cwd: home });
    assert.deepEqual([code, stderr, readdirSync(home)], [0, '', []]);
  });

  it('row "authorities": is never left for where a redirect leads', async () => {
    const elsewhere = await startTlsProxy({ certificate: good, to: broker.port });
    const target = `https://localhost:${elsewhere.port}/services/Get`;
    for (const status of [301, 302, 307, 308]) {
      proxy.answer((_, outgoing) => outgoing.writeHead(status, { location: target }).end());
      const to = ['-b', urlOf(), '--ca', own('ca.pem'), '--access-key', key];
      const get = ['service', 'get', '--name', 'a', '--wait', '--timeout', '20s'];
      const { code, stderr } = await client(reference, [...to, ...get]);
      proxy.answer(undefined);
      assert.equal(code, 1, stderr);
      assert.ok(stderr.includes(`redirects its callers to '${target}' (HTTP status ${status})`), stderr);
    }
    assert.deepEqual(elsewhere.requests, []);
  });

  it('with a wrong path leads to no broker: that is not "no such entry"', async () => {
    const wrong = urlOf().replace('/deep/er', '/deep');
    const get = ['service', 'get', '--name', 'a'];
    const { code, stderr } = await client(reference, ['-b', wrong, '--ca', own('ca.pem'), ...get]);
    assert.equal(code, 6, stderr);
    assert.match(stderr, /it is no broker: check the path of the URL \(HTTP status 404\)/);
  });

  it('a server of another kind at an address is no broker, whatever it says of a path', async () => {
    proxy.answer((_, outgoing) =>
      outgoing.writeHead(404, { 'content-type': 'text/html' }).end('<h1>Not here</h1>'),
    );
    const { code, stderr } = await client(reference, [
      '-b',
      `localhost:${proxy.port}`,
      'service',
      'get',
      '--name',
      'a',
    ]);
    proxy.answer(undefined);
    assert.equal(code, 6, stderr);
    assert.match(
      stderr,
      /Something answers at localhost:\d+, but it is no broker: check the address \(HTTP status 404\)/,
    );
  });

  it('shows what a proxy says that has nothing to offer', async () => {
    const get = ['-b', urlOf(), '--ca', own('ca.pem'), '--access-key', key, 'service', 'get', '--name', 'a'];
    for (const [status, expected] of [
      [502, 6],
      [503, 1],
      [504, 6],
      [413, 1],
    ] as const) {
      // It lets the first question through.
      const first = proxy.requests.length;
      proxy.answer((_, outgoing) => page(outgoing, proxy.requests.length === first + 1 ? 401 : status));
      const { code, stderr } = await client(reference, get);
      proxy.answer(undefined);
      assert.equal(code, expected, stderr);
      assert.match(stderr, status === 413 ? /too large/ : new RegExp(`HTTP status ${status}`));
      assert.doesNotMatch(stderr, /JSON at|<html/);
    }
  });

  it('completes names of entries, without a first contact', async () => {
    const words = ['service', 'get', '--name', ''].flatMap((word) => ['--word', word]);
    const complete = (env: Record<string, string>): Promise<RunResult> =>
      client(reference, ['complete', ...words], { BPBROKER: urlOf(), BPBROKER_ACCESS_KEY: key, ...env });
    const { stdout } = await complete({ BPBROKER_CA: own('ca.pem') });
    assert.match(stdout, /^a\t$/m);
    assert.doesNotMatch((await complete({ BPBROKER_CA: own('other.pem') })).stdout, /^a\t$/m);
  });
});
