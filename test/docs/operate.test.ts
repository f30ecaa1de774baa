import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { freePort, reference, skipOf, start } from '../programs/support.ts';
import { createAuthority } from '../support/network/authority.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { atEnd } from '../support/cleanup.ts';
import { blocksOf } from '../support/documents/documents.ts';
import { programFolder } from '../support/programs/program-folder.ts';
import { parseReady, run } from '../support/programs/programs.ts';
import { tempDir } from '../support/temp.ts';
import { createTerminal } from '../support/programs/terminal.ts';
import { startTlsProxy } from '../support/network/tls-proxy.ts';
import { typePage } from '../support/documents/typed-page.ts';
import { waitFor } from '../support/wait.ts';

const page = 'docs/operate.md';

/** `systemctl stop bpbroker`, for the broker of the test: like systemd it comes back once the process has gone. */
const systemctl = [
  'timeout',
  '20',
  'sh',
  '-c',
  'test "$*" = "stop bpbroker" && kill "$BROKER_PID" && until [ ! -e "/proc/$BROKER_PID" ]; do sleep 0.05; done',
  'systemctl',
];

describe(
  page,
  { skip: process.platform === 'linux' ? skipOf(reference) : 'its sessions are for Linux' },
  () => {
    it('has command blocks that work as they are typed, with proxies and a service of the test', async () => {
      const dir = tempDir();
      const tree = path.join(dir, 'bpbroker');
      const port = await freePort();
      const bin = programFolder(reference, { systemctl });
      const env = cleanEnv(dir, {
        PATH: `${bin}:${process.env['PATH'] ?? ''}`,
        BPBROKER_LISTEN_PORT: String(port),
      });
      const broker = start([...reference.bpbroker, 'start'], { env, cwd: dir });
      atEnd(() => broker.child.kill('SIGKILL'));
      await waitFor('the ready line', () => parseReady(broker.stderr()));
      const typed = async (...command: string[]): Promise<string> => {
        const { code, stdout, stderr } = await run(command, { env, cwd: dir });
        assert.equal(code, 0, stderr);
        return stdout.trimEnd();
      };
      const register = ['service', 'register', '--name', 'shop-cluster1', '--data', 'x'];
      await typed(...reference.bpclient, '--bpbroker', `127.0.0.1:${port}`, ...register);
      const backup = await typed(...reference.bpbroker, 'backup');

      const authority = await createAuthority();
      writeFileSync(path.join(dir, 'company.pem'), authority.cert);
      const certificate = await authority.sign({ names: ['localhost'] });
      const prefixed = await startTlsProxy({ certificate, to: port, prefix: '/registry' });
      const plain = await startTlsProxy({ certificate, to: port });

      const terminal = createTerminal({
        dir,
        known: new Map(),
        // The authority is one of the system's, where an option names none.
        env: { ...env, BROKER_PID: String(broker.child.pid), BPBROKER_CA: path.join(dir, 'company.pem') },
        asTyped: (text) =>
          text
            .replaceAll('broker.example.com', `localhost:${prefixed.port}`)
            .replaceAll('broker.internal:8443', `localhost:${plain.port}`)
            .replaceAll(/\S+\/bpbroker-\d{8}T\d{9}Z-r\d{16}\.json/g, backup),
        asShown: (text) =>
          text
            .replaceAll(tree, '/usr/local/bpbroker')
            .replace(/bpbroker-replaced-\d{8}T\d{9}Z$/m, 'bpbroker-replaced-20260131T131500000Z')
            .replace(/bpbroker-\d{8}T\d{9}Z-r\d{16}/, 'bpbroker-20260131T131500002Z-r0000000000000057'),
      });
      await typePage(blocksOf(page), () => ({ dir, terminal }));
      assert.equal(prefixed.requests.length > 0 && plain.requests.length > 0, true);
      assert.equal(await broker.ended, 0, broker.stderr());
    });
  },
);
