import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { executableProblem, programs } from '../os-service/service-support.ts';
import { freePort, start } from '../programs/support.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { atEnd } from '../support/cleanup.ts';
import { containerEngine, type ContainerEngine } from '../support/machine/container.ts';
import { copyDebian, debianProblem } from '../support/machine/debian.ts';
import { blocksOf } from '../support/documents/documents.ts';
import { createNetwork, endAllOn, netnsProblem, type Network } from '../support/network/netns.ts';
import { parseReady, run, type RunResult } from '../support/programs/programs.ts';
import { tempDir } from '../support/temp.ts';
import { createTerminal } from '../support/programs/terminal.ts';
import { lacking } from '../support/programs/tools.ts';
import { waitFor } from '../support/wait.ts';

const page = 'docs/how-to/containers.md';

/** The one block of the page that has these words. */
function block(words: string): string {
  const found = blocksOf(page).filter(({ text }) => text.includes(words));
  assert.equal(found.length, 1, words);
  return found[0]?.text ?? '';
}

const problem =
  executableProblem ??
  netnsProblem() ??
  debianProblem('sysvinit') ??
  (lacking('unshare', 'curl') || undefined);

describe(`${page}, in containers of the tests' own`, { skip: problem ?? false }, () => {
  const typed = block('docker run --detach');
  const [creating = ''] = typed.split('\n');
  const running = typed.slice(creating.length + 1);
  let net: Network;
  let dir: string;
  let image: string;
  let engine: ContainerEngine;

  before(async () => {
    net = await createNetwork({ hosts: { host: ['10.0.0.1/24'], other: ['10.0.0.2/24'] } });
    dir = tempDir();
    image = copyDebian('sysvinit');
    engine = containerEngine(image, path.join(dir, 'docker'));
    // What is unpacked from a release.
    symlinkSync(programs.bpbroker, path.join(dir, 'bpbroker'));
  });
  after(async () => {
    endAllOn(net, 'host');
    await net.close();
    rmSync(image, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  const env = (): Record<string, string> =>
    cleanEnv(dir, { PATH: `${engine.bin}:${process.env['PATH'] ?? ''}`, BPBROKER_INTERFACES: '' });
  const typeOnHost = (text: string): Promise<void> =>
    createTerminal({
      dir,
      known: new Map(),
      env: env(),
      opener: ['ip', 'netns', 'exec', net.namespaceOf('host'), 'bash'],
    }).script(text);
  const fromOther = (...args: string[]): Promise<RunResult> =>
    net.run('other', [programs.bpclient, '--quiet', ...args], { env: env() });
  const isUp = async (): Promise<boolean> =>
    (await fromOther('--bpbroker', '10.0.0.1', 'ping', '--data', 'x')).stdout === 'x\n';
  const log = (): string => (existsSync(engine.log) ? readFileSync(engine.log, 'utf8') : '');
  const awaitBroker = (): Promise<unknown> =>
    waitFor('the broker in its container', isUp, 30_000).catch((error: unknown) => {
      throw new Error(log(), { cause: error });
    });
  /** The processes of the host whose program is the broker, by their numbers there. */
  const brokers = async (): Promise<number[]> => {
    const { stdout } = await run(['ip', 'netns', 'pids', net.namespaceOf('host')]);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map(Number)
      .filter((pid) => commandOf(pid) === 'bpbroker\n');
  };
  const end = async (timeoutMs = 20_000): Promise<void> => {
    for (const pid of await brokers()) process.kill(pid, 'SIGTERM');
    await waitFor('the broker to end', async () => (await brokers()).length === 0, timeoutMs);
  };

  it('has commands that start a broker which other hosts find, with its registry on the volume', async () => {
    await typeOnHost(typed);
    await awaitBroker();
    assert.equal((await fromOther('service', 'register', '--name', 'foo', '--data', 'bar')).stdout, 'bar\n');
    assert.equal((await fromOther('discover', '--name', 'foo')).stdout, '10.0.0.1\n');
    assert.ok(existsSync(path.join(engine.volume('bpbroker'), 'etc', 'bpbroker.json')));
    assert.doesNotMatch(log(), /process 1/);
  });

  it('has probes that a broker passes', async () => {
    const probes = [...block('readinessProbe').matchAll(/scheme: (\w+), path: (\S+), port: (\d+)/g)];
    assert.equal(probes.length, 2);
    for (const [, scheme = '', at = '', port = ''] of probes) {
      const url = `${scheme.toLowerCase()}://10.0.0.1:${port}${at}`;
      const format = ['--output', '/dev/null', '--write-out', '%{http_code}'];
      const { stdout } = await net.run('other', ['curl', '-sk', ...format, url]);
      assert.equal(stdout, '200', url);
    }
  });

  it('says rightly that SIGTERM ends it in time, and that the next container is the same broker', async () => {
    const [, seconds] = /terminationGracePeriodSeconds: (\d+)/.exec(block('readinessProbe')) ?? [];
    await end(Number(seconds) * 1000);
    await typeOnHost(running);
    await awaitBroker();
    // A new identity would be exit 8.
    const { code, stdout, stderr } = await fromOther(
      '--bpbroker',
      '10.0.0.1',
      'service',
      'get',
      '--name',
      'foo',
    );
    assert.deepEqual([code, stdout], [0, 'bar\n'], stderr);
    await end();
  });

  it('says rightly what is missing without --init, and that a single mounted file is refused', async () => {
    const printed = log().length;
    await typeOnHost(running.replace(' --init', ''));
    await awaitBroker();
    assert.match(log().slice(printed), /the broker is process 1 here: .*docker run --init/);
    await end();
    writeFileSync(path.join(dir, 'bpbroker.json'), '{}');
    const single = running
      .replace(' --detach', '')
      .replace('bpbroker:/data ', '"$PWD/bpbroker.json:/data/etc/bpbroker.json" ');
    const { code, stderr } = await net.run('host', ['bash', '-c', single], { cwd: dir, env: env() });
    assert.equal(code, 1);
    assert.match(stderr, /^Fatal error: .*\/data\/etc\/bpbroker\.json.*folder/m);
  });
});

const withoutHome =
  executableProblem ??
  (process.getuid?.() === 0 ? lacking('setpriv') : 'only root can run it as another user');

describe(`${page}, without a home`, { skip: withoutHome }, () => {
  it('has commands that work as a user without an account and without HOME', async () => {
    const uid = 54_321;
    const dir = tempDir();
    chmodSync(dir, 0o755);
    const data = path.join(dir, 'data');
    mkdirSync(data);
    chownSync(data, uid, uid);
    copyFileSync(programs.bpbroker, path.join(dir, 'bpbroker'));
    chmodSync(path.join(dir, 'bpbroker'), 0o755);
    symlinkSync('bpbroker', path.join(dir, 'bpclient'));
    const port = await freePort();
    const env = {
      PATH: `${dir}:${process.env['PATH'] ?? ''}`,
      BPBROKER_LISTEN_PORT: String(port),
      BPBROKER_INTERFACES: 'lo',
    };
    const as = (line: string): string[] => {
      const who = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
      return [...who, 'sh', '-c', `exec env ${line}`];
    };
    const [first = '', second = ''] = block('BPBROKER_FINGERPRINT').split('\n');
    const broker = start(as(first.replace('/data', data)), { env, cwd: '/' });
    atEnd(() => broker.child.kill('SIGKILL'));
    const ready = await waitFor('the ready line', () => parseReady(broker.stderr())).catch((error) =>
      assert.fail(`${String(error)}: ${broker.stderr()}`),
    );
    const typed = second
      .replace('sha256:…', ready.fingerprint)
      .replace('broker.example.com', `127.0.0.1:${port}`);
    const pinged = await run(as(typed), { env, cwd: '/' });
    assert.deepEqual([pinged.code, pinged.stderr], [0, '']);
    const unpinned = await run(as(typed.replace(/BPBROKER_FINGERPRINT=\S+ /, '')), { env, cwd: '/' });
    assert.match(unpinned.stderr, /could not be kept: this user has no home/);
    assert.equal(await broker.stop('SIGTERM'), 0);
  });
});

/** The name of a process's program; undefined for one that has just ended. */
function commandOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
