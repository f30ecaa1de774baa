import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { cleanEnv, launchers, run } from '../support/programs/programs.ts';
import { createNetwork, endAllOn, netnsProblem, type Network } from '../support/network/netns.ts';
import { tempDir } from '../support/temp.ts';
import { follow, type Running } from '../programs/support.ts';

const folder = path.join(root, 'examples', 'bootstrap');
const linesOf = (name: string): string[] => readFileSync(path.join(folder, name), 'utf8').split('\n');

function problem(): string | false {
  const built = launchers.find(({ name }) => name === 'executable')?.available ?? 'no executables';
  return built === true ? (netnsProblem() ?? false) : built;
}

interface Cluster {
  /** Where its hosts have their homes. */
  readonly dir: string;
  /** The access key that all of them are given. */
  readonly key: string;
}

/** Runs a script of the example on a host that has the two executables, and nothing else of ours. */
function runOn(net: Network, { dir, key }: Cluster, host: string, command: readonly string[]): Running {
  const home = path.join(dir, host);
  mkdirSync(home, { recursive: true });
  const env = cleanEnv(home, {
    PATH: `${path.join(root, 'dist')}:${process.env['PATH'] ?? ''}`,
    BPBROKER_INTERFACES: '',
    BPBROKER_ACCESS_KEY: key,
    BOOTSTRAP_STATE: path.join(home, 'state'),
    BOOTSTRAP_TIMEOUT: '30s',
  });
  const [script = '', ...args] = command;
  const stdio = ['ignore', 'pipe', 'pipe'] as const;
  return follow(
    net.spawn(host, ['bash', path.join(folder, script), ...args], { cwd: home, env, stdio: [...stdio] }),
  );
}

const nodes = ['node-a', 'node-b', 'node-c'];

describe('examples/bootstrap', () => {
  it(
    'brings up a master and three nodes that know nothing but a name, and may run again',
    { skip: problem() },
    async () => {
      const addresses = Object.fromEntries(nodes.map((node, n) => [node, [`10.77.1.${n + 2}/24`]]));
      const net = await createNetwork({ hosts: { master: ['10.77.1.1/24'], ...addresses } });
      const dir = tempDir();
      const { stdout } = await run([path.join(root, 'dist', 'bpbroker'), 'keygen']);
      const cluster = { dir, key: stdout.trim() };
      try {
        const numbers: string[][] = [];
        for (const round of ['first', 'second']) {
          // The nodes first: they wait.
          const started = nodes.map((node) => runOn(net, cluster, node, ['node.sh', 'shop', node]));
          const master = runOn(net, cluster, 'master', ['master.sh', 'shop', '3']);
          assert.equal(await master.ended, 0, `${round}: ${master.stderr()}`);
          assert.match(master.stdout(), /^shop is complete: 3 nodes$/m);
          for (const node of started) {
            assert.equal(await node.ended, 0, `${round}: ${node.stdout()}${node.stderr()}`);
            assert.match(node.stdout(), /^found shop at 10\.77\.1\.1\ndatabase at 10\.77\.1\.1:5432\n/);
          }
          numbers.push(
            started.map((node) => /^joined shop as number (\d) of 3$/m.exec(node.stdout())?.[1] ?? ''),
          );
        }
        assert.deepEqual(numbers[0]?.toSorted(), ['1', '2', '3']);
        assert.deepEqual(numbers[1], numbers[0], 'a node that asks again gets the same');
        const members = readFileSync(path.join(dir, 'master', 'state', 'members'), 'utf8')
          .trim()
          .split('\n');
        assert.deepEqual(
          members.toSorted(),
          nodes.map((node, n) => `${node} 10.77.1.${n + 2}`),
        );
      } finally {
        endAllOn(net, 'master');
        await net.close();
      }
    },
  );

  for (const script of ['master', 'node']) {
    it(`says the same in bash and PowerShell, line by line: ${script}`, () => {
      const [bash, powershell] = [linesOf(`${script}.sh`), linesOf(`${script}.ps1`)];
      assert.equal(bash.length, powershell.length);
      // What a line calls, in order, with its options.
      const callsOf = (line: string): string[] => [
        ...[...line.matchAll(/bp(?:broker|client) (?:service )?[a-z][a-z-]+/g)].map(([call]) => call),
        ...[...line.matchAll(/ (--[a-z-]+)/g)].map(([, option = '']) => option),
      ];
      for (const [n, line] of bash.entries()) {
        const other = powershell[n] ?? '';
        const where = `line ${n + 1}`;
        assert.equal(other === '', line === '', where);
        if (/^ *# /.test(line) && !line.includes('KEY ./')) assert.equal(other, line, where);
        assert.deepEqual(callsOf(other), callsOf(line), where);
      }
    });
  }
});
