import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { skipOf, start } from '../programs/support.ts';
import { cleanEnv, launchers, parseReady, run, startBroker } from '../support/programs/programs.ts';
import { sendRaw } from '../support/network/raw.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait.ts';

/** Row "files" of the security page, and the modes of what a broker makes, shown on the real programs. */

const unmasked = ['sh', '-c', 'umask 000; exec "$@"', 'sh'];
const mode = (file: string): string => (lstatSync(file).mode & 0o777).toString(8);
const rootProblem = process.getuid?.() === 0 ? false : 'needs root';
const straceProblem = await run(['strace', '-V']).then(
  ({ code }) => (code === 0 ? false : "needs the program 'strace'"),
  () => "needs the program 'strace'" as const,
);

/** A user without an account. */
const nobody = 54_321;
const asNobody = (command: readonly string[]): string[] => [
  'setpriv',
  `--reuid=${nobody}`,
  `--regid=${nobody}`,
  '--clear-groups',
  ...command,
];
const setprivProblem = await run(['setpriv', '--version']).then(
  ({ code }) => (code === 0 ? false : "needs the program 'setpriv'"),
  () => "needs the program 'setpriv'" as const,
);

for (const launcher of launchers) {
  describe(`files of a broker on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    it('row "certificate": key 0600, folder 0700, and nothing for others, even under umask 000', async () => {
      const dir = tempDir();
      const env = cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0' });
      const broker = start([...unmasked, ...launcher.bpbroker, 'start'], { env, cwd: dir });
      await waitFor('the ready line', () => parseReady(broker.stderr()));
      const etc = path.join(dir, 'bpbroker', 'etc');
      assert.equal(mode(etc), '700');
      const modes = Object.fromEntries(
        readdirSync(etc)
          .filter((name) => !name.includes('.lock'))
          .map((name) => [name.replace(/\d+$/, ''), mode(path.join(etc, name))]),
      );
      assert.deepEqual(modes['bpbroker.key'], '600');
      for (const [name, bits] of Object.entries(modes))
        if (name !== 'bpbroker.crt') assert.equal(bits, '600', name);
      assert.equal(await broker.stop('SIGTERM'), 0);
      assert.equal(mode(path.join(etc, 'bpbroker.json')), '600');
    });

    it(
      'row "files": a symbolic link as configuration or journal is refused to root',
      { skip: rootProblem },
      async () => {
        const dir = tempDir();
        const real = path.join(tempDir(), 'elsewhere.json');
        writeFileSync(real, '{"api": {"listen_port": 0}}');
        const file = path.join(dir, 'bpbroker.json');
        symlinkSync(real, file);
        const begin = (): ReturnType<typeof run> =>
          run([...launcher.bpbroker, 'start', '--config', file], { env: cleanEnv(dir), cwd: dir });
        const refused = await begin();
        assert.equal(refused.code, 1);
        assert.match(
          refused.stderr,
          /^Fatal error: .* is a symbolic link, which is refused when running as root/m,
        );
        assert.equal(readFileSync(real, 'utf8'), '{"api": {"listen_port": 0}}');

        const other = await startBroker(launcher);
        await other.kill();
        const journal = readdirSync(other.dir).find((name) => name.includes('.journal.')) ?? '';
        const moved = path.join(tempDir(), 'journal');
        writeFileSync(moved, readFileSync(path.join(other.dir, journal)));
        unlinkSync(path.join(other.dir, journal));
        symlinkSync(moved, path.join(other.dir, journal));
        const again = await run([...launcher.bpbroker, 'start', '--config', other.configFile], {
          env: cleanEnv(other.dir),
          cwd: other.dir,
        });
        assert.equal(again.code, 1);
        assert.match(again.stderr, /symbolic link, which is refused when running as root/);
      },
    );

    it('row "files": whatever it makes is made with O_EXCL', { skip: straceProblem }, async () => {
      const dir = tempDir();
      const trace = path.join(tempDir(), 'trace');
      const strace = ['strace', '-f', '-e', 'trace=open,openat,creat', '-o', trace];
      const env = cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0' });
      const broker = start([...strace, ...launcher.bpbroker, 'start'], { env, cwd: dir });
      const ready = await waitFor('the ready line', () => parseReady(broker.stderr()), 30_000);
      const { pid = 0 } = broker.child;
      await sendRaw(ready.port, 'GET /services/Replace?name=a&data=b HTTP/1.1\r\nHost: x\r\n\r\n', {
        responses: 1,
      });
      // To strace's child, which is the broker.
      const [child = ''] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
      process.kill(Number(child), 'SIGTERM');
      await broker.ended;
      const made = readFileSync(trace, 'utf8')
        .split('\n')
        .filter((line) => line.includes('O_CREAT') && line.includes(path.join(dir, 'bpbroker')));
      assert.ok(
        made.some((line) => line.includes('.tmp-')),
        'temporary files',
      );
      for (const line of made) assert.match(line, /O_EXCL/);
    });

    it('a file with keys that all could read is closed to others, and the log says so', async () => {
      const dir = tempDir();
      const file = path.join(dir, 'bpbroker.json');
      writeFileSync(file, '{"api": {"listen_port": 0}, "services": {"_access_key": "x"}}');
      chmodSync(file, 0o644);
      const broker = await startBroker(launcher, { dir });
      assert.equal(mode(file), '640');
      assert.match(broker.stderr(), /warn other users of this host could read the configuration/);
      await broker.stop();
      assert.equal(mode(file), '640');
      const open = tempDir();
      mkdirSync(open, { recursive: true });
      const without = await startBroker(launcher, { dir: open, config: { ping: {} } });
      assert.equal(statSync(without.configFile).mode & 0o004, 0o004, 'one without keys is left as it is');
      await without.stop();
    });

    it('row "private key": one that all could read is closed to others, and the log says so', async () => {
      const dir = tempDir();
      const made = await startBroker(launcher, { dir });
      await made.stop();
      const own = path.join(dir, 'bpbroker.key');
      chmodSync(own, 0o644);
      const again = await startBroker(launcher, { dir });
      assert.equal(mode(own), '640');
      assert.match(again.stderr(), /warn other users of this host could read the private key/);
      await again.stop();
      const [ssl_cert, ssl_key] = ['crt', 'key'].map((end) => path.join(tempDir(), `named.${end}`));
      writeFileSync(ssl_cert ?? '', readFileSync(path.join(dir, 'bpbroker.crt')));
      writeFileSync(ssl_key ?? '', readFileSync(own), { mode: 0o644 });
      const named = await startBroker(launcher, { config: { api: { ssl_cert, ssl_key } } });
      assert.equal(mode(ssl_key ?? ''), '640');
      await named.stop();
    });

    it(
      'row "private key": one that cannot be closed is refused, with what helps',
      { skip: rootProblem || setprivProblem },
      async () => {
        const made = await startBroker(launcher);
        await made.stop();
        const dir = tempDir();
        const [ssl_cert, ssl_key] = ['crt', 'key'].map((end) => path.join(dir, `named.${end}`));
        writeFileSync(ssl_cert ?? '', readFileSync(path.join(made.dir, 'bpbroker.crt')));
        writeFileSync(ssl_key ?? '', readFileSync(path.join(made.dir, 'bpbroker.key')), { mode: 0o644 });
        const etc = path.join(dir, 'etc');
        mkdirSync(etc);
        const file = path.join(etc, 'bpbroker.json');
        writeFileSync(file, JSON.stringify({ api: { listen_port: 0, ssl_cert, ssl_key } }));
        for (const at of [etc, file]) chownSync(at, nobody, nobody);
        chmodSync(dir, 0o755);
        const { code, stderr } = await run(asNobody([...launcher.bpbroker, 'start', '--config', file]), {
          env: cleanEnv(etc),
          cwd: etc,
        });
        assert.equal(code, 1, stderr);
        assert.ok(stderr.includes(ssl_key ?? '-'), stderr);
        assert.match(stderr, /Other users of this host can read the private key .*chmod o-rwx.* \[EPERM\]/);
      },
    );
  });
}
