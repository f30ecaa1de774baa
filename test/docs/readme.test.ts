import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { freePort, reference, skipOf } from '../programs/support.ts';
import { atEnd } from '../support/cleanup.ts';
import { blocksOf } from '../support/documents/documents.ts';
import { programFolder } from '../support/programs/program-folder.ts';
import { cleanEnv, launchers, run, type RunResult, startBroker } from '../support/programs/programs.ts';
import { createNetwork, endAllOn, netnsProblem } from '../support/network/netns.ts';
import { killIfThere } from '../support/teardown.ts';
import { tempDir } from '../support/temp.ts';
import { lacking } from '../support/programs/tools.ts';

/**
 * The first block of README, typed into a shell as it is. On one host only the port is another one, since 20443 may be in
 * use here; on three hosts nothing is.
 */

const text = blocksOf('README.md').find(({ language }) => language === 'shell')?.text ?? '';
const [onFirst = '', onOthers = ''] = text.split('\n\n');

const missing = (shell: string): string | false =>
  spawnSync(shell, ['-c', 'true']).status === 0 ? false : `needs the program '${shell}'`;

interface Typed extends RunResult {
  /** Of the broker, where one was started. */
  readonly pid: number;
}

async function type(shell: string, programs: string, script: string, port: number): Promise<Typed> {
  const home = tempDir();
  const env = cleanEnv(home, { BPBROKER_LISTEN_PORT: String(port) });
  const result = await run([shell], {
    env: { ...env, PATH: `${programs}:${env['PATH']}` },
    cwd: home,
    timeoutMs: 60_000,
    input: script
      .replaceAll('127.0.0.1', `127.0.0.1:${port}`)
      .replaceAll('discover --name', `discover --port ${port} --name`),
  });
  const pid = Number(/in the background: process (\d+)/.exec(result.stderr)?.[1] ?? 0);
  if (pid > 0) atEnd(() => killIfThere(pid));
  return { ...result, pid };
}

const problem = lacking('hostname', 'unshare') || skipOf(reference) || (netnsProblem() ?? false);

describe("README's first block", () => {
  it(
    'brings up three servers that know nothing but a name, as it is typed on each',
    { skip: problem },
    async () => {
      const hosts = { first: ['10.0.0.1/24'], web1: ['10.0.0.2/24'], web2: ['10.0.0.3/24'] };
      const net = await createNetwork({ hosts });
      const programs = programFolder(reference);
      const typeOn = (host: string, script: string): Promise<RunResult> => {
        const env = cleanEnv(tempDir(), {
          PATH: `${programs}:${process.env['PATH'] ?? ''}`,
          BPBROKER_INTERFACES: '',
        });
        const shell = ['unshare', '--uts', 'bash', '-c', `hostname ${host} && exec bash -e`];
        return net.run(host, shell, { env, cwd: env['HOME'] ?? '', input: script, timeoutMs: 60_000 });
      };
      try {
        // The others first: they wait.
        const others = ['web1', 'web2'].map((host) => typeOn(host, onOthers));
        const first = await typeOn('first', onFirst);
        assert.equal(first.code, 0, first.stderr);
        for (const { code, stdout, stderr } of await Promise.all(others)) {
          assert.equal(code, 0, stderr);
          const [fact, , ...nodes] = stdout.trimEnd().split('\n');
          assert.equal(fact, '10.0.0.5');
          assert.deepEqual(nodes, ['shop-cluster1/node/web1\tready', 'shop-cluster1/node/web2\tready']);
        }
      } finally {
        endAllOn(net, 'first');
        await net.close();
      }
    },
  );

  it('starts a broker without a loop', () => {
    assert.match(onFirst, /^bpbroker start --detach/m);
    assert.doesNotMatch(onFirst, /\b(?:while|until|for|sleep|nohup)\b/);
  });

  for (const shell of ['bash', 'dash']) {
    for (const launcher of launchers) {
      const skip = skipOf(launcher) || missing(shell);
      it(`works as it is typed in ${shell}, on ${launcher.name}`, { skip }, async () => {
        const port = await freePort();
        // Another server, without which the barrier at the end would wait for it.
        const other = 'bpclient -b "$BROKER" service register --name shop-cluster1/node/a --data ready';
        const lines = text.split('\n');
        const at = lines.findIndex((line) => line.includes('--wait-count'));
        const script = [...lines.slice(0, at), other, ...lines.slice(at)].join('\n');
        const { code, stdout, stderr, pid } = await type(shell, programFolder(launcher), script, port);
        assert.equal(code, 0, stderr);
        assert.match(stderr, /^ready: https:/m);
        const printed = stdout.split('\n');
        assert.match(printed[0] ?? '', /"db": "10\.0\.0\.5", "port": 5432\}$/);
        assert.equal(printed[1], '10.0.0.5', stdout);
        assert.equal(
          printed.filter((line) => /^shop-cluster1\/node\/\S+\tready$/.test(line)).length,
          2,
          stdout,
        );
        process.kill(pid, 'SIGTERM');
      });
    }

    it(
      `says why, and registers nothing elsewhere, where the port is taken: ${shell}`,
      { skip: missing(shell) },
      async () => {
        const other = await startBroker(reference);
        const { code, stdout, stderr, pid } = await type(
          shell,
          programFolder(reference),
          onFirst,
          other.port,
        );
        assert.deepEqual([code, stdout, pid], [1, '', 0]);
        assert.match(
          stderr,
          new RegExp(
            `^Fatal error: Cannot listen on \\*:${other.port} \\(TCP\\): the port is taken: [^\\n]*\\n$`,
          ),
        );
        const { stdout: count } = await other.client(['service', 'list', '--count', '--quiet']);
        assert.equal(count, '0\n');
        await other.kill();
      },
    );
  }
});

describe('README.md', () => {
  it('is at most 120 lines', () => {
    assert.ok(readFileSync(path.join(root, 'README.md'), 'utf8').trimEnd().split('\n').length <= 120);
  });

  it('has pictures that are there and small', () => {
    const shown = [
      ...readFileSync(path.join(root, 'README.md'), 'utf8').matchAll(/!\[([^\]]*)\]\(([^)]*)\)/g),
    ];
    assert.equal(shown.length, 2);
    for (const [, says = '', file = ''] of shown) {
      assert.ok(says.length > 40, `${file} says what it shows`);
      assert.ok(statSync(path.join(root, file)).size < 150_000, file);
    }
  });

  it('has the commands that a clone is tried with', () => {
    const lines = blocksOf('README.md').flatMap((block) => block.text.split('\n'));
    for (const command of ['npm ci && npm start', 'npm ci && npm test'])
      assert.ok(
        lines.some((line) => line.startsWith(`${command} `)),
        command,
      );
  });
});
