import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { freePort, reference, type Running, start } from '../programs/support.ts';
import { cleanEnv, run } from '../support/programs/programs.ts';
import { programFolder } from '../support/programs/program-folder.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait.ts';

const script = (name: string): string[] => ['bash', path.join(root, 'examples', 'cluster', name)];
const skip = process.platform === 'win32' ? 'its scripts are for bash' : false;

describe('the example of a cluster', { skip }, () => {
  it('assigns every node that joins its own number, and sends each of them the list of all', async () => {
    const dir = tempDir();
    const port = await freePort();
    const bin = programFolder(reference);
    const hosts = path.join(dir, 'master-hosts');
    const shared = {
      PATH: `${bin}${path.delimiter}${process.env['PATH'] ?? ''}`,
      CLUSTER: 'shop-cluster1',
      CLUSTER_KEY: 'f'.repeat(64),
    };
    const join = (node: string, number: number): Running => {
      const home = path.join(dir, node);
      mkdirSync(home);
      const env = { ...shared, NODE: node, NODES: '3', HOSTS: path.join(home, 'hosts') };
      return start(script('node.sh'), {
        env: cleanEnv(home, { ...env, BPBROKER_UDP_PORT: String(port) }),
        cwd: number === 0 ? dir : home,
      });
    };
    // The first node is there before its master.
    const names = ['db-1', 'db-2', 'web-1'];
    const nodes = [join('db-1', 0)];
    const env = cleanEnv(dir, { ...shared, HOSTS: hosts, BPBROKER_LISTEN_PORT: String(port) });
    const master = start(script('master.sh'), { env, cwd: dir });
    try {
      await waitFor(
        'the master',
        () => master.stdout() === 'master of shop-cluster1 is ready\n',
        30_000,
      ).catch((error) => assert.fail(`${String(error)}\n${master.stderr()}`));
      nodes.push(...['db-2', 'web-1'].map(join));
      const ends = await Promise.all(nodes.map(({ ended }) => ended));
      assert.deepEqual(ends, [0, 0, 0], nodes.map(({ stderr }) => stderr()).join(''));
      const listed = readFileSync(hosts, 'utf8');
      const numbers = nodes.map((node, n) => {
        const [, name, number] = /^(\S+) is node (\d) of 3\n$/.exec(node.stdout()) ?? [];
        assert.equal(name, names[n]);
        assert.ok(listed.includes(`127.0.0.1 ${name} node${number}\n`), listed);
        return number;
      });
      assert.deepEqual(new Set(numbers), new Set(['1', '2', '3']));
      for (const name of names) assert.equal(readFileSync(path.join(dir, name, 'hosts'), 'utf8'), listed);
      // A node that is installed a second time is the same node.
      const again = await run(script('node.sh'), {
        env: cleanEnv(path.join(dir, 'db-2'), {
          ...shared,
          NODE: 'db-2',
          NODES: '3',
          HOSTS: path.join(dir, 'again'),
          BPBROKER_UDP_PORT: String(port),
        }),
      });
      assert.deepEqual([again.code, again.stdout], [0, nodes[1]?.stdout()], again.stderr);
      assert.equal(readFileSync(hosts, 'utf8'), listed);
    } finally {
      // The broker is its child: it must not outlive a test that fails.
      await master.stop('SIGTERM');
    }
  });

  it('lets nobody join without the key', async () => {
    const dir = tempDir();
    const env = cleanEnv(dir, { CLUSTER: 'x', NODES: '1' });
    const { code, stderr } = await run(script('node.sh'), { env, cwd: dir });
    assert.equal(code, 1);
    assert.match(stderr, /CLUSTER_KEY: the key that nodes join with/);
  });
});
