import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { freePort, reference, skipOf } from '../programs/support.ts';
import { atEnd } from '../support/cleanup.ts';
import { blocksOf } from '../support/documents.ts';
import { programFolder } from '../support/program-folder.ts';
import { cleanEnv, launchers, run, type RunResult, startBroker } from '../support/programs.ts';
import { killIfThere } from '../support/teardown.ts';
import { tempDir } from '../support/temp.ts';

/** The first block of README, typed into a shell as it is; only the port is another one, since 20443 may be in use here. */

const text = blocksOf('README.md').find(({ language }) => language === 'shell')?.text ?? '';
const onFirst = text.slice(0, text.indexOf('\n\n'));

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

describe("README's first block", () => {
  it('starts a broker without a loop', () => {
    assert.match(onFirst, /^bpbroker start --detach/m);
    assert.doesNotMatch(onFirst, /\b(?:while|until|for|sleep|nohup)\b/);
  });

  for (const shell of ['bash', 'dash']) {
    for (const launcher of launchers) {
      const skip = skipOf(launcher) || missing(shell);
      it(`works as it is typed in ${shell}, on ${launcher.name}`, { skip }, async () => {
        const port = await freePort();
        // Two other nodes, without which the barrier at the end would wait for them.
        const nodes = ['a', 'b'].map(
          (node) => `bpclient -b "$BROKER" service register --name shop-cluster1/node/${node} --data ready\n`,
        );
        const lines = text.split('\n');
        const at = lines.findIndex((line) => line.includes('--wait-count'));
        const script = [...lines.slice(0, at), ...nodes, ...lines.slice(at)].join('\n');
        const { code, stdout, stderr, pid } = await type(shell, programFolder(launcher), script, port);
        assert.equal(code, 0, stderr);
        assert.match(stderr, /^ready: https:/m);
        const printed = stdout.split('\n');
        assert.match(printed[0] ?? '', /"db": "10\.0\.0\.5", "port": 5432\}$/);
        assert.equal(printed[1], '10.0.0.5', stdout);
        assert.equal(
          printed.filter((line) => /^shop-cluster1\/node\/\S+\tready$/.test(line)).length,
          3,
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
