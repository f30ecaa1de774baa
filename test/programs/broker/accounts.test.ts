import assert from 'node:assert/strict';
import { chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { asNobody, NOBODY, nobodysDir, otherUserProblem } from '../../support/programs/other-user.ts';
import {
  launchers,
  parseReady,
  run,
  type RunningBroker,
  type RunResult,
  startBroker,
} from '../../support/programs/programs.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { reference, skipOf, start } from '../support.ts';

/** The places in which the programs may be run: the user, the home, the folders. */

const unshareProblem =
  process.getuid?.() === 0
    ? await run(['unshare', '--mount', 'true']).then(
        ({ code }) => (code === 0 ? false : 'mount namespaces cannot be made'),
        () => "needs the program 'unshare'" as const,
      )
    : 'needs root';

let broker: RunningBroker;
before(async () => {
  broker = await startBroker(reference);
});

/** Runs a shell's commands, then a program, in a mount namespace of its own. */
const mounted = (setup: string, command: readonly string[]): string[] => [
  'unshare',
  '--mount',
  '--propagation=private',
  'sh',
  '-c',
  `set -e; ${setup}; exec "$@"`,
  'sh',
  ...command,
];

for (const launcher of launchers) {
  describe(
    `without HOME and without an account, on ${launcher.name}`,
    { skip: skipOf(launcher) || otherUserProblem },
    () => {
      const bare = (dir: string, extra: Record<string, string> = {}): Record<string, string> => {
        const env = Object.entries(cleanEnv(dir, { DENO_DIR: path.join(dir, '.deno') }));
        const homeless = env.filter(([name]) => !['HOME', 'XDG_CONFIG_HOME', 'BPBROKER_HOME'].includes(name));
        return { ...Object.fromEntries(homeless), ...extra };
      };
      const client = (args: readonly string[], extra: Record<string, string> = {}): Promise<RunResult> => {
        const dir = nobodysDir();
        return run(asNobody([...launcher.bpclient, ...args]), { env: bare(dir, extra), cwd: dir });
      };
      const at = (): string[] => ['--bpbroker', `127.0.0.1:${broker.port}`];

      it('every client command works, and says that the identity cannot be kept', async () => {
        for (const extra of [{}, { HOME: '' }, { HOME: 'relative' }] as Record<string, string>[]) {
          const { code, stdout, stderr } = await client([...at(), 'ping', '--data', 'x'], extra);
          assert.deepEqual([code, stdout], [0, 'x\n'], stderr);
          assert.match(stderr, /^First contact .* it could not be kept: .*set HOME .*--fingerprint\n$/);
        }
        const commands: Readonly<Record<string, number>> = {
          'service replace --name a --data b': 0,
          'service get --name a': 0,
          'service list': 0,
          'service delete --name a': 0,
          'service get --name nosuch': 3,
          'execute --method no.Such': 3,
        };
        for (const [line, expected] of Object.entries(commands)) {
          const { code, stderr } = await client([...at(), ...line.split(' ')]);
          assert.equal(code, expected, `${line}: ${stderr}`);
        }
        const pinned = await client([...at(), '--fingerprint', broker.fingerprint, 'ping', '--data', 'x']);
        assert.deepEqual([pinned.code, pinned.stderr], [0, '']);
        const found = await client([
          'discover',
          '--name',
          'a',
          '--timeout',
          '300ms',
          '--port',
          String(broker.udpPort),
        ]);
        assert.equal(found.code, 6, found.stderr);
      });

      it('trust lists nothing, and says what is missing to keep anything', async () => {
        const dir = nobodysDir();
        const trust = (...args: string[]): Promise<RunResult> =>
          run(asNobody([...launcher.bpbroker, 'trust', '--timeout', '100ms', ...args]), {
            env: bare(dir),
            cwd: dir,
          });
        const listed = await trust();
        assert.deepEqual([listed.code, listed.stdout], [0, ''], listed.stderr);
        const added = await trust('-b', '10.0.0.1', '--fingerprint', '0'.repeat(64));
        assert.equal(added.code, 1);
        assert.match(added.stderr, /^Fatal error: .*set HOME/m);
      });

      it('a broker starts with --config, and without it says where it cannot write', async () => {
        const dir = nobodysDir();
        const file = path.join(dir, 'bpbroker.json');
        const command = asNobody([...launcher.bpbroker, 'start', '--listen-port', '0']);
        const running = start([...command, '--config', file], { env: bare(dir), cwd: dir });
        await waitFor('the ready line', () => parseReady(running.stderr()));
        assert.equal(await running.stop('SIGTERM'), 0, running.stderr());
        assert.equal(statSync(file).uid, NOBODY);
        const none = await run(command, { env: bare(dir), cwd: dir });
        assert.equal(none.code, 1);
        assert.match(
          none.stderr,
          /^Fatal error: Cannot keep .* \/usr\/local\/bpbroker\/etc: permission denied: .*--config.* \[EACCES\]$/m,
        );
      });
    },
  );

  describe(
    `a known_brokers of another user's, on ${launcher.name}`,
    { skip: skipOf(launcher) || otherUserProblem },
    () => {
      const prepare = (mode: number): { home: string; file: string } => {
        const home = nobodysDir();
        const folder = path.join(home, 'config', 'bpbroker');
        mkdirSync(folder, { recursive: true, mode: 0o755 });
        const file = path.join(folder, 'known_brokers');
        writeFileSync(file, `127.0.0.1:${broker.port} ${broker.fingerprint}\n`, { mode });
        return { home, file };
      };
      const ping = (home: string, ...args: string[]): Promise<RunResult> =>
        run(asNobody([...launcher.bpclient, ...args, 'ping', '--data', 'x']), {
          env: cleanEnv(home, { DENO_DIR: path.join(home, '.deno') }),
          cwd: home,
        });

      it('one that cannot be read is exit 8, in words and with what helps; a user who names the identity needs none', async () => {
        const { home, file } = prepare(0o600);
        const at = ['--bpbroker', `127.0.0.1:${broker.port}`];
        const { code, stdout, stderr } = await ping(home, ...at);
        assert.deepEqual([code, stdout], [8, ''], stderr);
        assert.match(
          stderr,
          /^Fatal error: Cannot read \S+known_brokers, .*: permission denied: .* \[EACCES\]\. .*--fingerprint instead\n$/,
        );
        assert.ok(stderr.includes(file));
        const named = await ping(home, ...at, '--fingerprint', broker.fingerprint);
        assert.deepEqual([named.code, named.stderr], [0, '']);
      });

      it('one that cannot be written serves for whom it knows, and a new contact says why it is not kept', async () => {
        const { home } = prepare(0o644);
        const known = await ping(home, '--bpbroker', `127.0.0.1:${broker.port}`);
        assert.deepEqual([known.code, known.stderr], [0, '']);
        const met = await ping(home, '--bpbroker', `localhost:${broker.port}`);
        assert.equal(met.code, 0);
        assert.match(
          met.stderr,
          /^First contact .* it could not be kept: Cannot write .*: permission denied: .* \[EACCES\]\n$/,
        );
      });

      it('root in the home of another user leaves the file to its owner', async () => {
        const home = nobodysDir();
        const folder = path.join(home, 'config', 'bpbroker');
        mkdirSync(folder, { recursive: true });
        chownSync(folder, NOBODY, NOBODY);
        const words = [...launcher.bpclient, '--bpbroker', `127.0.0.1:${broker.port}`, 'ping'];
        for (const host of ['127.0.0.1', 'localhost']) {
          words.splice(words.indexOf('--bpbroker') + 1, 1, `${host}:${broker.port}`);
          const { code, stderr } = await run(words, { env: cleanEnv(home), cwd: home });
          assert.equal(code, 0, stderr);
          const { uid, mode } = statSync(path.join(folder, 'known_brokers'));
          assert.deepEqual([uid, mode & 0o777], [NOBODY, 0o600]);
        }
      });
    },
  );

  describe(`folders of a broker on ${launcher.name}`, { skip: skipOf(launcher) || unshareProblem }, () => {
    const startIn = (setup: string, dir: string, file: string): Promise<RunResult> =>
      run(mounted(setup, [...launcher.bpbroker, 'start', '--listen-port', '0', '--config', file]), {
        env: cleanEnv(dir),
        cwd: dir,
      });

    it('a configuration that is mounted as a single file is refused at start, with what to mount', async () => {
      const dir = path.join(tempDir(), 'with space');
      mkdirSync(dir);
      const file = path.join(dir, 'bpbroker.json');
      const outside = path.join(tempDir(), 'outside.json');
      for (const at of [file, outside]) writeFileSync(at, '{"ping": {}}');
      const { code, stderr } = await startIn(`mount --bind '${outside}' '${file}'`, dir, file);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^Fatal error: [^\n]* is a mounted file, [^\n]* mount its folder [^\n]*\n$/);
      assert.ok(stderr.includes(`mount its folder ${dir} instead`), stderr);
      assert.equal(readFileSync(outside, 'utf8'), '{"ping": {}}');
      // Bun keeps a folder of its own in a home.
      assert.deepEqual(
        readdirSync(dir).filter((name) => name !== '.bun'),
        ['bpbroker.json'],
      );
    });

    it('one whose folder is mounted starts', async () => {
      const dir = tempDir();
      const outside = tempDir();
      const file = path.join(dir, 'bpbroker.json');
      const command = mounted(`mount --bind '${outside}' '${dir}'`, [
        ...launcher.bpbroker,
        'start',
        '--listen-port',
        '0',
        '--config',
        file,
      ]);
      const running = start(command, { env: cleanEnv(outside), cwd: outside });
      await waitFor('the ready line', () => parseReady(running.stderr()));
      assert.equal(await running.stop('SIGTERM'), 0, running.stderr());
      assert.ok(readdirSync(outside).includes('bpbroker.json'));
    });

    it('a folder that cannot be written is named, with what helps', async () => {
      const dir = tempDir();
      const file = path.join(dir, 'bpbroker.json');
      writeFileSync(file, '{}');
      const { code, stderr } = await startIn(
        `mount --bind '${dir}' '${dir}'; mount -o remount,bind,ro '${dir}'`,
        dir,
        file,
      );
      assert.equal(code, 1, stderr);
      assert.match(
        stderr,
        /^Fatal error: Cannot (?:keep|lock) [^\n]*: the file system is read-only: mount it writable, [^\n]* \[EROFS\]\n$/,
      );
      assert.ok(stderr.includes(dir), stderr);
    });

    it('a path through a file, and a configuration that is a folder, are reported in words', async () => {
      const dir = tempDir();
      writeFileSync(path.join(dir, 'file'), '');
      for (const [file, words] of [
        [path.join(dir, 'file', 'bpbroker.json'), /There is no folder \S+file for the configuration /],
        [
          path.join(dir, 'file', 'sub', 'bpbroker.json'),
          /There is no folder \S+file\/sub for the configuration /,
        ],
        [dir, /it is a folder: give the path of a file \[EISDIR\]\n$/],
      ] as const) {
        const { code, stderr } = await startIn('true', dir, file);
        assert.equal(code, 2, stderr);
        assert.match(stderr, /^Fatal error: (?:Cannot|There is no folder) [^\n]*\n$/);
        assert.match(stderr, words);
      }
    });

    it('a port that is taken is reported in words', async () => {
      const dir = tempDir();
      const command = [...launcher.bpbroker, 'start', '--listen-port', String(broker.port)];
      const { code, stderr } = await run(command, { env: cleanEnv(dir), cwd: dir });
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^Fatal error: Cannot listen on \S+ \(TCP\): the port is taken: .*--listen-port \[EADDRINUSE\]$/m,
      );
    });
  });
}
