import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { asNobody, NOBODY, nobodysDir, otherUserProblem } from '../../support/programs/other-user.ts';
import { parseReady, run, type RunResult } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { reference, type Running, start } from '../support.ts';

/** The tree of the whole machine, beneath the files of its users. */

/** The tree as root's commands leave it: nobody else may enter its `etc`. */
function closedTree(options = '{"api": {"listen_port": 1}}'): { root: string; globalFile: string } {
  const root = path.join(tempDir(), 'bpbroker');
  const globalFile = path.join(root, 'etc', 'bpbroker.json');
  mkdirSync(path.dirname(globalFile), { recursive: true, mode: 0o700 });
  writeFileSync(globalFile, options, { mode: 0o600 });
  return { root, globalFile };
}

const namespaceProblem =
  otherUserProblem ||
  (await run(['unshare', '--mount', 'true']).then(
    ({ code }) => (code === 0 ? false : 'mount namespaces cannot be made'),
    () => "needs the program 'unshare'" as const,
  ));

async function untilReady(broker: Running): Promise<void> {
  await waitFor('the ready line', () => {
    assert.equal(broker.child.exitCode, null, broker.stderr());
    return parseReady(broker.stderr());
  });
}

describe("a machine's tree that the user may not enter", { skip: otherUserProblem }, () => {
  it("leaves the broker of the user's own file running, with a warning that names the global file", async () => {
    const { root, globalFile } = closedTree();
    const dir = nobodysDir();
    const file = path.join(dir, 'mine.json');
    const env = cleanEnv(dir, { BPBROKER_HOME: root });
    const command = [...reference.bpbroker, 'start', '--listen-port', '0', '--config', file];
    const broker = start(asNobody(command), { env, cwd: dir });
    await untilReady(broker);
    assert.equal(await broker.stop('SIGTERM'), 0, broker.stderr());
    const warned = broker
      .stderr()
      .match(new RegExp(`^.*${globalFile} do not apply: permission denied.*$`, 'gm'));
    assert.equal(warned?.length, 1, broker.stderr());
  });

  it('does not keep the other commands from their work, which warn too', async () => {
    const { root, globalFile } = closedTree();
    const dir = nobodysDir();
    const file = path.join(dir, 'mine.json');
    const command = (...args: string[]): Promise<RunResult> =>
      run(asNobody([...reference.bpbroker, ...args, '--config', file]), {
        env: cleanEnv(dir, { BPBROKER_HOME: root }),
        cwd: dir,
        input: '{"x": {}}',
      });
    const added = await command('configure');
    assert.deepEqual([added.code, added.stdout], [0, 'added x\n'], added.stderr);
    const saved = await command('backup');
    assert.equal(saved.code, 0, saved.stderr);
    const restored = await command('restore', '--from', saved.stdout.trim());
    assert.equal(restored.code, 0, restored.stderr);
    for (const { stderr } of [added, saved, restored])
      assert.ok(stderr.includes(`${globalFile} do not apply: permission denied`), stderr);
    assert.equal(statSync(file).uid, NOBODY);
  });

  it("makes the user's own file strict still: one that cannot be read is refused", async () => {
    const { root, globalFile } = closedTree();
    const dir = nobodysDir();
    for (const file of [globalFile, path.join(root, 'etc', 'other.json')]) {
      const { code, stderr } = await run(asNobody([...reference.bpbroker, 'start', '--config', file]), {
        env: cleanEnv(dir, { BPBROKER_HOME: root }),
        cwd: dir,
      });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /^Fatal error: .*permission denied.* \[EACCES\]$/m);
    }
  });

  it(
    "has a user without --config work in the user's own tree, as the ready line says",
    { skip: namespaceProblem },
    async () => {
      const dir = nobodysDir();
      const { BPBROKER_HOME: _, ...env } = cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0' });
      const machine = 'mount -t tmpfs -o mode=755 tmpfs /usr/local; mkdir -p -m 700 /usr/local/bpbroker/etc';
      const inside = asNobody([...reference.bpbroker, 'start']);
      const command = ['unshare', '--mount', '--propagation=private', 'sh', '-c'];
      const broker = start([...command, `set -e; ${machine}; exec "$@"`, 'sh', ...inside], { env, cwd: dir });
      await untilReady(broker);
      const own = path.join(dir, 'config', 'bpbroker', 'etc', 'bpbroker.json');
      assert.ok(broker.stderr().includes(`configuration in ${own} because /usr/local/bpbroker cannot be`));
      assert.equal(await broker.stop('SIGTERM'), 0, broker.stderr());
    },
  );
});

describe(
  "a machine's tree that root makes",
  { skip: process.getuid?.() === 0 ? false : 'needs root' },
  () => {
    const strict = ['sh', '-c', 'umask 077; exec "$@"', 'sh'];
    const modes = (root: string, folders: readonly string[]): string[] =>
      ['.', ...folders].map((name) => (statSync(path.join(root, name)).mode & 0o777).toString(8));

    it("can be entered by the service's user, whichever command makes it; its folders are as closed as ever", async () => {
      const dir = tempDir();
      const extension = path.join(dir, 'hello.ts');
      writeFileSync(extension, 'export const Say = (): string => "hi";\n');
      const source = tempDir();
      const inSource = { env: cleanEnv(source), cwd: source, input: '{"x": {}}' };
      await run([...reference.bpbroker, 'configure'], inSource);
      const { stdout: backup } = await run([...reference.bpbroker, 'backup'], inSource);
      const commands: readonly (readonly [command: readonly string[], folder: string, mode: string])[] = [
        [['configure'], 'etc', '700'],
        [['restore', '--from', backup.trim()], 'etc', '700'],
        [['install-extension', '--script', extension], 'lib', '700'],
      ];
      for (const [index, [command, folder, mode]] of commands.entries()) {
        const root = path.join(dir, `new${index}`, 'bpbroker');
        const env = cleanEnv(dir, { BPBROKER_HOME: root });
        const { code, stderr } = await run([...strict, ...reference.bpbroker, ...command], {
          env,
          cwd: dir,
          input: '{"x": {}}',
        });
        assert.equal(code, 0, stderr);
        assert.deepEqual([...modes(root, ['..', folder])], ['755', '755', mode], command[0]);
      }
    });

    it('can be entered too where a broker makes it that goes into the background', async () => {
      const dir = tempDir();
      const root = path.join(dir, 'new', 'bpbroker');
      const command = [...reference.bpbroker, 'start', '--detach', '--listen-port', '0'];
      const { code, stdout, stderr } = await run([...strict, ...command], {
        env: cleanEnv(dir, { BPBROKER_HOME: root }),
        cwd: dir,
      });
      const pid = Number(/^in the background: process (\d+),/m.exec(stderr)?.[1]);
      assert.deepEqual([code, pid > 1], [0, true], `${stdout}${stderr}`);
      process.kill(pid);
      assert.deepEqual(modes(root, ['..', 'etc']), ['755', '755', '700']);
    });
  },
);

describe('configure with --config', () => {
  it("spells the machine's options out, and no default that would win over them", async () => {
    const { root, globalFile } = closedTree('{"api": {"listen_port": 1}, "mine": {"a": "global"}}');
    const dir = tempDir();
    const file = path.join(dir, 'own.json');
    const { code, stdout, stderr } = await run([...reference.bpbroker, 'configure', '--config', file], {
      env: cleanEnv(dir, { BPBROKER_HOME: root }),
      cwd: dir,
      input: '{"mine": {"a": "own"}}',
    });
    assert.deepEqual([code, stdout], [0, 'added mine\n'], stderr);
    const { api, mine } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, unknown>>;
    assert.deepEqual([api?.['listen_port'], mine], [1, { a: 'own' }], `beneath is ${globalFile}`);
  });
});
