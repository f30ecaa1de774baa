import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { atEnd } from '../../support/cleanup.ts';
import { createNetwork, netnsProblem } from '../../support/network/netns.ts';
import { cleanEnv, launchers, run, type RunResult } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { freePort, skipOf } from '../support.ts';

const failed = ({ code, stdout, stderr }: RunResult, expected: number, reason: RegExp): void => {
  assert.deepEqual([code, stdout], [expected, ''], stderr);
  assert.match(stderr, /^Fatal error: [^\n]*\n$/);
  assert.match(stderr, reason);
};

for (const launcher of launchers) {
  describe(`why a broker is out of reach, on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    const home = tempDir();
    const client = (...args: string[]): Promise<RunResult> =>
      run([...launcher.bpclient, ...args], { cwd: home, env: cleanEnv(home) });

    it('refused, no such host, an interface that there is not', async () => {
      const port = await freePort();
      failed(await client('-b', `127.0.0.1:${port}`, 'ping'), 6, /: connection refused\n$/);
      failed(await client('-b', `localhost:${port}`, 'ping'), 6, /: connection refused\n$/);
      failed(
        await client('-b', 'no-such-host.invalid', 'ping'),
        6,
        /: (?:no such host|the host name could not be looked up)\n$/,
      );
      failed(
        await client('-b', '[fe80::1%nope]', 'ping'),
        6,
        /: no interface is named 'nope'; this host has .*\blo\b/,
      );
      failed(
        await client('-b', '[fe80::1]', 'ping'),
        6,
        /: a link-local address needs the name of its interface, as in fe80::1%eth0\n$/,
      );
    });

    it('something that speaks no TLS, at first or at all', async () => {
      for (const answer of ['HTTP/1.1 400 Bad Request\r\n\r\n', 'SSH-2.0-OpenSSH_9.2\r\n']) {
        const server = createServer((socket) => {
          socket.on('error', () => undefined);
          socket.once('data', () => socket.write(answer));
        }).listen(0, '127.0.0.1');
        atEnd(() => server.close());
        await once(server, 'listening');
        const { port } = server.address() as AddressInfo;
        failed(
          await client('-b', `127.0.0.1:${port}`, 'ping'),
          6,
          /: something answers there, but not with TLS\n$/,
        );
      }
    });

    it('a wait says the last cause', async () => {
      const port = await freePort();
      const at = ['-b', `127.0.0.1:${port}`];
      // Long enough for a first attempt on a busy machine: only that has a cause to tell.
      const short = ['--timeout', '3s'];
      const get = ['service', 'get', '--name', 'x', '--wait', ...short];
      const cause = /: No broker reached at 127\.0\.0\.1:\d+: connection refused\n$/;
      // One that a busy machine stops when its time ends may say that its last attempt timed out.
      await waitFor('the cause', async () => {
        failed(await client(...at, ...get), 9, cause);
        return true;
      });
      failed(
        await client('--port', String(port), ...get),
        9,
        /^Fatal error: Gave up waiting for a broker that holds 'x' .*: No broker holding 'x' answered within /,
      );
      // No time at all is one attempt, which may be over before a query has left.
      failed(
        await client('discover', '--name', 'x', '--wait', '--timeout', '0', '--port', String(port)),
        9,
        /^Fatal error: Gave up waiting for a broker that holds 'x' after \d ms: No broker holding 'x' /,
      );
      // With an identity that is known already, nothing is asked before the request itself.
      const pin = ['--fingerprint', `sha256:${'0'.repeat(64)}`];
      for (const args of [
        get,
        ['service', 'list', '--wait-count', '2', ...short],
        ['service', 'watch', '--name', 'x', ...short],
        ['ping', '--wait', ...short],
      ]) {
        const { code, stdout, stderr } = await waitFor(`the cause: ${args.join(' ')}`, async () => {
          const result = await client(...at, ...args, ...pin);
          assert.match(result.stderr, cause);
          return result;
        });
        assert.deepEqual([code, stdout], [9, ''], stderr);
        const [note = '', ...rest] = stderr.split('\n').filter(Boolean);
        assert.match(note, /^The broker at 127\.0\.0\.1:\d+ is out of reach \(.*refused\); trying again$/);
        assert.equal(rest.length, 1, stderr);
      }
    });

    it('no route to the network, and no such host on it', { skip: netnsProblem() ?? false }, async () => {
      const net = await createNetwork({ hosts: { c: ['10.77.1.3/24'], other: ['10.77.1.4/24'] } });
      const at = path.join(home, 'c');
      mkdirSync(at);
      const there = (...args: string[]): Promise<RunResult> =>
        net.run('c', [...launcher.bpclient, ...args], { cwd: at, env: cleanEnv(at) });
      failed(await there('-b', '10.0.0.77', 'ping'), 6, /: no route to that network\n$/);
      failed(await there('-b', '10.77.1.99', 'ping'), 6, /: no route to that host\n$/);
      failed(await there('-b', '10.77.1.4', 'ping'), 6, /: connection refused\n$/);
      await net.close();
    });
  });
}
