import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { reference, skipOf, start } from '../programs/support.ts';
import { blocksOf } from '../support/documents/documents.ts';
import { consumer } from '../support/documents/consumer.ts';
import { cleanEnv, launchers, run, type RunResult } from '../support/programs/programs.ts';
import { commandsOf } from '../support/documents/shell-words.ts';
import { waitFor } from '../support/wait.ts';

/** What README has somebody type: the program, and a call of its module. */
const shown = blocksOf('examples/README.md').find(({ text }) =>
  text.startsWith('node embedded/ports.ts'),
)?.text;
const [program = [], call = []] = commandsOf(shown ?? '');

const source = readFileSync(path.join(root, 'examples', 'embedded', 'ports.ts'), 'utf8');

// Node 20 does not run TypeScript.
for (const launcher of launchers.filter(({ name }) => !['executable', 'node20'].includes(name))) {
  describe(`the example of a module in a program, on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    it('assigns each service of a host a port of its own, the same one again, and refuses invalid names', async () => {
      const dir = consumer({ 'embedded/ports.ts': source });
      const broker = start([...launcher.bpbroker.slice(0, -1), ...program.slice(1)], {
        cwd: dir,
        env: cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0' }),
      });
      const ready = /^ready: https:\/\/\S+:(\d+), fingerprint (\S+)$/m;
      await waitFor('the broker', () => ready.test(broker.stdout())).catch((error) =>
        assert.fail(`${String(error)}: ${broker.stderr()}`),
      );
      const [, port = '', fingerprint = ''] = ready.exec(broker.stdout()) ?? [];
      const take = (service: string): Promise<RunResult> => {
        const at = ['--bpbroker', `127.0.0.1:${port}`, '--fingerprint', fingerprint];
        const command = [...call.slice(call.indexOf('execute'), -1), service];
        return run([...reference.bpclient, ...at, ...command], { env: cleanEnv(dir) });
      };
      const names = ['web', 'db', 'queue', 'cache'];
      const given = await Promise.all(names.map(take));
      assert.deepEqual(
        given.map(({ code }) => code),
        [0, 0, 0, 0],
        given.map(({ stderr }) => stderr).join(''),
      );
      const ports = given.map(({ stdout }) => stdout);
      assert.deepEqual(ports.toSorted(), ['8000\n', '8001\n', '8002\n', '8003\n']);
      const again = await Promise.all(names.map(take));
      assert.deepEqual(
        again.map(({ stdout }) => stdout),
        ports,
      );
      const refused = await take('no name');
      assert.deepEqual(
        [refused.code, refused.stdout, refused.stderr],
        [1, '', "Fatal error: Invalid parameter 'data': expected the name of a service\n"],
      );
      assert.match(
        broker.stderr(),
        /^gave a port \{"port":800\d,"service":"web","host":"127\.0\.0\.1","module":"ports","request":"[0-9a-f]{12}"\}$/m,
      );
      assert.equal(await broker.stop('SIGTERM'), 0);
      const { services } = JSON.parse(readFileSync(path.join(dir, 'data', 'bpbroker.json'), 'utf8')) as {
        services: Record<string, { host: string; last_write_ip: string }>;
      };
      const entry = services['ports/8000'];
      assert.deepEqual([entry?.host, entry?.last_write_ip], ['127.0.0.1', '127.0.0.1']);
    });
  });
}
