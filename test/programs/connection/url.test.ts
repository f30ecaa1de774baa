import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import type { Authority, Leaf, LeafPair } from '../../support/network/authority.ts';
import { launchers, type RunningBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { page, startTlsProxy, type TlsProxy } from '../../support/network/tls-proxy.ts';
import { waitFor } from '../../support/wait.ts';
import { skipOf, untilLines } from '../support.ts';
import { background, client, key, openProxied, prefix, type Proxied } from './url-support.ts';

/** A broker that is named by a URL: behind a proxy with a certificate of its own, under a prefix. */

let authority: Authority;
let broker: RunningBroker;
let proxy: TlsProxy;
let good: LeafPair;
let urlOf: Proxied['url'];
let own: Proxied['file'];

before(async () => {
  ({ authority, broker, proxy, certificate: good, url: urlOf, file: own } = await openProxied());
});

const hex = '0'.repeat(64);

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
            prefix,
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

      it('has an extension run, and returns its output as it arrives', async () => {
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
        const at = await startTlsProxy({ certificate: good, to: broker.port, prefix });
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
        const make = ['service', 'replace', '--name', name, '--data'];
        const made = await client(launcher, ['-b', urlOf(), ...ca(), '--access-key', key, ...make, 'now']);
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
          prefix,
          port: at.port,
        });
        await waitFor(
          'a note',
          () => /in reach again, at https:\/\/localhost/.test(watching.stderr()),
          30_000,
        );
        await client(launcher, ['-b', urlOf(), ...ca(), '--access-key', key, ...make, 'then']);
        await untilLines(watching, 2, 30_000);
        assert.ok(again.requests.length > 0);
        await watching.stop();
        await again.close();
      });
    },
  );
}
