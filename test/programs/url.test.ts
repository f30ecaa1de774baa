import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { type Authority, createAuthority, type Leaf, type LeafPair } from '../support/authority.ts';
import { cleanEnv } from '../support/clean-env.ts';
import { type Launcher, launchers, run, type RunningBroker, type RunResult } from '../support/programs.ts';
import { tempDir } from '../support/temp.ts';
import { page, startTlsProxy, type TlsProxy } from '../support/tls-proxy.ts';
import { waitFor } from '../support/wait.ts';
import { brokerWith } from './extension-files.ts';
import { connect } from '../../src/client/client.ts';
import { connectTo, reference, type Running, skipOf, start, untilLines } from './support.ts';

/** A broker that is named by a URL: behind a proxy with a certificate of its own, under a prefix. */

const key = 'a-key-that-must-not-leave-before-the-check';
const hex = '0'.repeat(64);

/** Says one line, and the next when the file is there that it is told. */
const slow = `
import { existsSync } from 'node:fs';
export async function* Steps({ data, signal }) {
  yield 'one\\n';
  while (!existsSync(data) && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 20));
  yield 'two\\n';
}
`;

let authority: Authority;
let broker: RunningBroker;
let proxy: TlsProxy;
let good: LeafPair;
/** Holds `ca.pem`, `other.pem` and the like. */
let dir: string;

before(async () => {
  dir = tempDir();
  authority = await createAuthority();
  const other = await createAuthority('another authority');
  good = await authority.sign({ names: ['localhost'], ips: ['127.0.0.1'] });
  writeFileSync(path.join(dir, 'ca.pem'), authority.cert);
  writeFileSync(path.join(dir, 'other.pem'), other.cert);
  writeFileSync(path.join(dir, 'both.pem'), `Two of them:\n${other.cert}${authority.cert}`);
  writeFileSync(path.join(dir, 'empty.pem'), '');
  broker = await brokerWith(reference, { 'slow.mjs': slow }, { services: { _access_key: key } });
  proxy = await startTlsProxy({ certificate: good, to: broker.port, prefix: '/deep/er' });
});

const urlOf = (host = 'localhost', at: TlsProxy = proxy): string => `https://${host}:${at.port}/deep/er`;
const own = (file: string): string => path.join(dir, file);

function client(
  launcher: Launcher,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RunResult> {
  const home = tempDir();
  return run([...launcher.bpclient, ...args], { cwd: home, env: cleanEnv(home, env) });
}

function background(launcher: Launcher, args: readonly string[]): Running {
  const home = tempDir();
  return start([...launcher.bpclient, ...args], { cwd: home, env: cleanEnv(home) });
}

for (const launcher of launchers) {
  describe(
    `a broker that is named by a URL, by a client on ${launcher.name}`,
    { skip: skipOf(launcher) },
    () => {
      const ca = (): string[] => ['--ca', own('ca.pem')];

      it('is reached through a proxy, under its prefix, with --ca', async () => {
        const to = ['-b', urlOf(), ...ca(), '--access-key', key];
        const steps: [readonly string[], string][] = [
          [['ping', '--data', 'hello'], 'hello\n'],
          [['service', 'replace', '--name', 'a', '--data', 'b'], 'b\n'],
          [['service', 'get', '--name', 'a'], 'b\n'],
          [['service', 'get', '--name', 'a', '--wait', '--timeout', '10s'], 'b\n'],
          [['service', 'list', '--prefix', 'a', '--wait-count', '1', '--cols', 'name'], 'a\n'],
        ];
        const from = proxy.requests.length;
        for (const [args, stdout] of steps) {
          const result = await client(launcher, [...to, ...args]);
          assert.deepEqual([result.code, result.stdout, result.stderr], [0, stdout, '']);
        }
        const seen = proxy.requests.slice(from);
        assert.ok(seen.every((one) => one.path.startsWith('/deep/er/')));
        assert.deepEqual([...new Set(seen.map(({ headers }) => headers.host))], [`localhost:${proxy.port}`]);
        const missing = await client(launcher, [...to, 'service', 'get', '--name', 'nothing']);
        assert.equal(missing.code, 3, missing.stderr);
        const denied = await client(launcher, ['-b', urlOf(), ...ca(), 'service', 'get', '--name', 'a']);
        assert.equal(denied.code, 5, denied.stderr);
      });

      it('is verified by the authorities of the system, which variables may name', async () => {
        const outcome = async (env: Record<string, string>, host?: string): Promise<unknown> => {
          const { code, stdout, stderr } = await client(
            launcher,
            ['-b', urlOf(host), 'ping', '--data', 'x'],
            env,
          );
          return code === 0 ? stdout : `${code} ${stderr}`;
        };
        const unknown =
          /^8 Fatal error: The certificate of https:\/\/\S+ is signed by no authority that this system trusts, but by CN=test authority; nothing was sent\. Name the file .*--ca FILE/;
        assert.match(String(await outcome({})), unknown);
        assert.equal(await outcome({ SSL_CERT_FILE: own('ca.pem') }), 'x\n');
        assert.equal(await outcome({ SSL_CERT_FILE: own('both.pem') }, '127.0.0.1'), 'x\n');
        assert.match(String(await outcome({ SSL_CERT_FILE: own('other.pem') })), unknown);
        assert.equal(await outcome({ NODE_EXTRA_CA_CERTS: own('ca.pem') }), 'x\n');
        assert.equal(await outcome({ BPBROKER_CA: own('ca.pem') }), 'x\n');
        assert.match(
          String(await outcome({ SSL_CERT_FILE: own('ca.pem'), BPBROKER_CA: own('other.pem') })),
          /^8 .*is not signed by an authority of --ca/,
        );
        assert.match(
          String(await outcome({ SSL_CERT_FILE: own('none.pem') })),
          /^2 .*SSL_CERT_FILE.*none\.pem/,
        );
      });

      it('row "authorities": gets nothing of a request where its certificate is wrong: exit 8 with what is wrong', async () => {
        const leaves: [Leaf, RegExp][] = [
          [{ names: ['localhost'], validity: 'over' }, / has expired: it was valid until /],
          [{ names: ['localhost'], validity: 'to come' }, / is not valid yet, but from /],
          [
            { names: ['elsewhere.test'] },
            / is not for localhost, but for DNS:elsewhere\.test; nothing was sent/,
          ],
        ];
        for (const [leaf, message] of leaves) {
          const at = await startTlsProxy({
            certificate: await authority.sign(leaf),
            to: broker.port,
            prefix: '/deep/er',
          });
          // One that waits does not wait for another certificate either.
          for (const args of [
            ['get', '--name', 'a'],
            ['get', '--name', 'a', '--wait', '--timeout', '20s'],
          ]) {
            const to = ['-b', urlOf('localhost', at), ...ca(), '--access-key', key];
            const { code, stdout, stderr } = await client(launcher, [...to, 'service', ...args]);
            assert.deepEqual([code, stdout], [8, ''], stderr);
            assert.match(stderr, message);
            assert.match(stderr, /^Fatal error: [^\n]*\n$/);
          }
          assert.deepEqual(at.requests, []);
          await at.close();
        }
      });

      it('has an extension run, and gives its output as it arrives', async () => {
        const file = path.join(tempDir(), 'go on');
        const to = ['-b', urlOf(), ...ca(), 'execute', '--method', 'slow.Steps', '--data', file];
        const running = background(launcher, to);
        await untilLines(running, 1, 30_000);
        writeFileSync(file, '');
        assert.equal(await running.ended, 0, running.stderr());
        assert.equal(running.stdout(), 'one\ntwo\n');
      });

      it('must have the certificate of --fingerprint too', async () => {
        const wrong = await client(launcher, [
          '-b',
          urlOf(),
          ...ca(),
          '--fingerprint',
          `sha256:${hex}`,
          'ping',
        ]);
        assert.equal(wrong.code, 8, wrong.stderr);
        const [, presented = ''] =
          /has the identity (sha256:[0-9a-f]{64}), expected/.exec(wrong.stderr) ?? [];
        const right = await client(launcher, ['-b', urlOf(), ...ca(), '--fingerprint', presented, 'ping']);
        assert.deepEqual([right.code, right.stderr], [0, '']);
        const alone = await client(launcher, ['-b', urlOf(), '--fingerprint', presented, 'ping']);
        assert.equal(alone.code, 8, alone.stderr);
      });

      it('is waited for while its proxy has no broker, and watched through the proxy', async () => {
        const at = await startTlsProxy({ certificate: good, to: broker.port, prefix: '/deep/er' });
        at.answer((_, outgoing) => page(outgoing, 502));
        const to = ['-b', urlOf('localhost', at), ...ca(), '--access-key', key];
        const once = await client(launcher, [...to, 'service', 'get', '--name', 'a']);
        assert.equal(once.code, 6, once.stderr);
        assert.match(
          once.stderr,
          /^Fatal error: Something answers at \S+, but it reaches no broker \(HTTP status 502\)\n$/,
        );
        const name = `late-${launcher.name}`;
        const waiting = background(launcher, [
          ...to,
          'service',
          'get',
          '--name',
          name,
          '--wait',
          '--timeout',
          '60s',
        ]);
        await waitFor('attempts', () => at.requests.length > 2, 30_000);
        at.answer(undefined);
        const watching = background(launcher, [
          ...to,
          'service',
          'watch',
          '--name',
          name,
          '--timeout',
          '60s',
        ]);
        await waitFor(
          'a watch',
          () => at.requests.some((one) => one.path.endsWith('/services/Watch')),
          30_000,
        );
        const make = ['service', 'replace', '--name', name, '--data', 'now'];
        const made = await client(launcher, ['-b', urlOf(), ...ca(), '--access-key', key, ...make]);
        assert.equal(made.code, 0, made.stderr);
        assert.equal(await waiting.ended, 0, waiting.stderr());
        assert.equal(waiting.stdout(), 'now\n');
        const [line = ''] = await untilLines(watching, 1, 30_000);
        assert.match(
          line,
          new RegExp(
            `^\\{"type": "put", "name": "${name}", "revision": \\d+, "data": "now", "last_write_ts": \\d+, "last_write_ip": "127.0.0.1"\\}$`,
          ),
        );
        // The connection breaks; the proxy comes back under the same name.
        await at.close();
        await waitFor('a note', () => /is out of reach .*; trying again/.test(watching.stderr()), 30_000);
        const again = await startTlsProxy({
          certificate: good,
          to: broker.port,
          prefix: '/deep/er',
          port: at.port,
        });
        await waitFor(
          'a note',
          () => /in reach again, at https:\/\/localhost/.test(watching.stderr()),
          30_000,
        );
        await client(launcher, ['-b', urlOf(), ...ca(), '--access-key', key, ...make.with(-1, 'then')]);
        await untilLines(watching, 2, 30_000);
        assert.ok(again.requests.length > 0);
        await watching.stop();
        await again.close();
      });
    },
  );
}

describe('an execution', () => {
  it('that is not at its end is given up at the end of its block', async () => {
    const file = path.join(tempDir(), 'not to come');
    const pinned = await connectTo(broker);
    const ca = authority.cert;
    await using site = await connect({ broker: urlOf(), ca });
    for (const client of [pinned, site]) {
      let read: Promise<unknown>;
      {
        await using execution = await client.execute('slow.Steps', { data: file });
        const parts = execution.output[Symbol.asyncIterator]();
        const { value } = (await parts.next()) as { readonly value: Uint8Array };
        assert.equal(Buffer.from(value).toString(), 'one\n');
        read = parts.next().catch((error: unknown) => error);
      }
      assert.match(String(await read), /The call of slow\.Steps was given up/);
      // One that is at its end has nothing to give up, and the client goes on.
      writeFileSync(`${file} either`, '');
      await using whole = await client.execute('slow.Steps', { data: `${file} either` });
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
      'https://me:pass-word@localhost': /carries no user and no password/,
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
    ];
    for (const [args, message, env] of wrong) {
      const { code, stderr } = await client(reference, [...args, 'ping'], env);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    }
    const trust = await client(reference, ['trust', '--bpbroker', 'https://me:pass-word@localhost']);
    assert.equal(trust.code, 2, trust.stderr);
    assert.match(trust.stderr, /no identity is kept for a URL/);
    assert.doesNotMatch(trust.stderr, /pass-word/);
    // A variable for brokers with URLs does not disturb the others.
    const args = ['-b', `127.0.0.1:${broker.port}`, '--quiet', 'ping'];
    assert.equal((await client(reference, args, { BPBROKER_CA: own('nothing.pem') })).code, 0);
  });

  it('row "authorities": is never left for where a redirect leads', async () => {
    const elsewhere = await startTlsProxy({ certificate: good, to: broker.port });
    const target = `https://localhost:${elsewhere.port}/services/Get`;
    for (const status of [301, 302, 307, 308]) {
      proxy.answer((_, outgoing) => outgoing.writeHead(status, { location: target }).end());
      const { code, stderr } = await client(reference, [
        ...['-b', urlOf(), '--ca', own('ca.pem'), '--access-key', key],
        ...['service', 'get', '--name', 'a', '--wait', '--timeout', '20s'],
      ]);
      proxy.answer(undefined);
      assert.equal(code, 1, stderr);
      assert.ok(stderr.includes(`sends its callers to '${target}' (HTTP status ${status})`), stderr);
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
