import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import {
  cleanEnv,
  launchers,
  parseReady,
  run,
  type RunResult,
  startBroker,
} from '../../support/programs/programs.ts';
import { ptyProblem, runOnTerminal } from '../../support/programs/pty.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { bpbroker, connectTo, freePort, reference, type Running, skipOf, start } from '../support.ts';

type Document = Record<string, Record<string, unknown>>;
const read = (file: string): Document => JSON.parse(readFileSync(file, 'utf8')) as Document;

/** Starts `bpbroker start` with any free port, unless `env` says otherwise, and waits for its ready line. */
async function startWith(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  wrapper: readonly string[] = [],
): Promise<Running & { readonly ready: NonNullable<ReturnType<typeof parseReady>> }> {
  const command = [...wrapper, ...reference.bpbroker, 'start', ...args];
  const broker = start(command, { env: { BPBROKER_LISTEN_PORT: '0', ...env }, cwd: '/' });
  const ready = await waitFor('the ready line', () => {
    assert.equal(broker.child.exitCode, null, broker.stderr());
    return parseReady(broker.stderr());
  });
  return { ...broker, ready };
}

const canBeNobody =
  process.getuid?.() === 0 &&
  (await run(['setpriv', '--version']).then(
    () => true,
    () => false,
  ));

const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);

describe('where the broker works', () => {
  it('beneath the file of --config is the global one', async () => {
    const dir = tempDir();
    const file = path.join(dir, 'mine.json');
    const globalFile = path.join(dir, 'bpbroker', 'etc', 'bpbroker.json');
    mkdirSync(path.dirname(globalFile), { recursive: true });
    const global = {
      api: { listen_port: 1 },
      ossec: { _access_key: 'g' },
      services: { _access_key: 'g', foo: { _str: 'x' } },
    };
    writeFileSync(globalFile, JSON.stringify(global));
    writeFileSync(file, JSON.stringify({ services: { _access_key: 'mine' } }));
    const broker = await startWith(['--config', file], cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0' }));
    await broker.stop('SIGTERM');
    const { services, ossec, api } = read(file);
    assert.deepEqual(
      [services, ossec, api?.['listen_port']],
      [{ _access_key: 'mine' }, { _access_key: 'g' }, 1],
    );
    assert.deepEqual(read(globalFile), global);
  });

  it('BPBROKER_HOME moves the tree, which is for its owner alone', async () => {
    const dir = tempDir();
    const home = path.join(dir, 'a', 'tree');
    const unmasked = ['sh', '-c', 'umask 000; exec "$@"', 'sh'];
    const broker = await startWith(
      [],
      cleanEnv(dir, { BPBROKER_HOME: home, BPBROKER_LISTEN_PORT: '0' }),
      unmasked,
    );
    assert.doesNotMatch(broker.stderr(), /^ready:.*configuration in/m);
    await broker.stop('SIGTERM');
    assert.deepEqual(
      [mode(path.join(home, 'etc')), mode(path.join(home, 'etc', 'bpbroker.json'))],
      ['700', '600'],
    );
    assert.ok(existsSync(path.join(home, 'etc', 'bpbroker.key')));
  });

  it(
    "is the user's own folder where the global tree cannot be written, and the ready line says so",
    { skip: canBeNobody ? false : "needs root and the program 'setpriv'" },
    async () => {
      const dir = tempDir();
      chmodSync(dir, 0o777);
      const { BPBROKER_HOME: _, ...env } = cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0' });
      const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
      const broker = await startWith([], env, nobody);
      const own = path.join(dir, 'config', 'bpbroker', 'etc', 'bpbroker.json');
      assert.match(
        broker.stderr(),
        new RegExp(`^ready: .*, configuration in ${own} because /usr/local/bpbroker cannot be written$`, 'm'),
      );
      assert.equal(await broker.stop('SIGTERM'), 0, broker.stderr());
      assert.deepEqual([mode(own), mode(path.dirname(own))], ['600', '700']);
      const added = await run([...nobody, ...reference.bpbroker, 'configure'], {
        env,
        cwd: '/',
        input: '{"x": {}}',
      });
      assert.deepEqual([added.code, added.stdout], [0, 'added x\n'], added.stderr);
      assert.deepEqual(read(own)['x'], {});
    },
  );
});

describe('options of start', () => {
  it('win over the environment, and that over the file', async () => {
    const [inFile, inEnv, given] = [await freePort(), await freePort(), await freePort()];
    const config = { api: { listen_port: inFile, listen_ip: '127.0.0.1' } };
    const first = await startBroker(reference, { config });
    assert.deepEqual([first.port, first.url], [inFile, `https://127.0.0.1:${inFile}`]);
    await first.stop();
    const { dir } = first;
    const env = { BPBROKER_LISTEN_PORT: String(inEnv), BPBROKER_LISTEN_IP: '' };
    const second = await startBroker(reference, { dir, env });
    assert.equal(second.port, inEnv);
    await second.stop();
    const args = [
      '--listen-port',
      String(given),
      '--listen-ip=127.0.0.1',
      '--log-format',
      'json',
      '--log-level=debug',
    ];
    const third = await startBroker(reference, { dir, env, args });
    assert.equal(third.port, given);
    await third.stop();
    const logged = third
      .stderr()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    const stopping = /^\{"time":"[^"]*","level":"info","message":"stopping","signal":"SIGTERM"\}$/;
    assert.ok(
      logged.some((line) => stopping.test(line)),
      logged.join('\n'),
    );
    assert.deepEqual(read(first.configFile)['api'], { ...config.api, ssl_cert: '', ssl_key: '' });
  });

  it('a port that is taken, an address of another host and a bad certificate are clear errors', async () => {
    const broker = await startBroker(reference);
    const dir = tempDir();
    const startIn = (...args: string[]): Promise<RunResult> =>
      bpbroker(dir, ['start', '--config', path.join(dir, 'x.json'), ...args]);
    const wrong: [readonly string[], number, RegExp][] = [
      [
        ['--listen-port', String(broker.port)],
        1,
        new RegExp(`Cannot listen on \\*:${broker.port} \\(TCP\\): the port is taken`),
      ],
      [
        ['--listen-ip', '192.0.2.77', '--listen-port', '0'],
        1,
        /Cannot listen on 192\.0\.2\.77:0 .*this host has no such address/,
      ],
      [['--listen-port', '65536'], 2, /Invalid --listen-port '65536'/],
      [
        ['--ssl-cert', import.meta.filename],
        1,
        /x\.json: api\.ssl_key is empty, and goes together with api\.ssl_cert: give both /,
      ],
      [['--ssl-cert', import.meta.filename, '--ssl-key', '/x'], 2, /Cannot read --ssl-key \/x: /],
      [
        ['--ssl-cert', import.meta.filename, '--ssl-key', import.meta.filename],
        1,
        /Cannot use the certificate /,
      ],
    ];
    for (const [args, code, message] of wrong) {
      const result = await startIn(...args);
      assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`);
      assert.match(result.stderr, message);
      assert.equal(result.stderr.match(/^Fatal error: /gm)?.length, 1);
    }
    await broker.kill();
  });
});

describe('what a start says', () => {
  it('that its registry is a new one, once, and nothing is begun in a folder that is not there', async () => {
    const dir = tempDir();
    const file = path.join(dir, 'b.json');
    const env = cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0' });
    const first = await startWith(['--config', file], env);
    assert.match(first.stderr(), new RegExp(`^ready: .*, a new registry in ${file}$`, 'm'));
    await first.stop('SIGTERM');
    const second = await startWith(['--config', file], env);
    assert.doesNotMatch(second.stderr(), /new registry/);
    await second.stop('SIGTERM');
    for (const command of ['start', 'configure']) {
      const typo = path.join(dir, 'typo', 'b.json');
      const { code, stderr } = await bpbroker(dir, [command, '--config', typo], '{"x": {}}');
      assert.equal(code, 2);
      assert.match(stderr, new RegExp(`^Fatal error: There is no folder ${path.dirname(typo)} .*--config`));
      assert.ok(!existsSync(path.dirname(typo)));
    }
  });

  it('as JSON where logs are JSON: every line, the ready line and an error in its options too', async () => {
    const config = {
      api: { listen_prt: 5 },
      _globl: {},
      _config: { backup_freq_sec: 1 },
      hello: { _timeout_secs: 0, _queu: 1, _own: 1 },
    };
    const broker = await startBroker(reference, { config, args: ['--log-format', 'json'] });
    const lines = broker
      .stderr()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: string; message: string; url?: string });
    assert.ok(lines.some(({ message, url }) => message === 'ready' && url === broker.url));
    const warnings = lines.filter(({ level }) => level === 'warn').map(({ message }) => message);
    assert.deepEqual(warnings, [
      "the option 'api.listen_prt' is unknown and has no effect; did you mean 'api.listen_port'?",
      "the option '_config.backup_freq_sec' is unknown and has no effect; did you mean '_config.backup_freq_secs'?",
      "the option '_globl' is unknown and has no effect; did you mean '_global'?",
      "the option 'hello._queu' is none of the broker's, which does not heed it; did you mean 'hello._queue'?",
      'a limit is wrong, and an extension fails every call with it: hello._timeout_secs: expected a number above 0, got 0',
    ]);
    await broker.stop();
  });
});

describe('the first lines of the log', () => {
  type Line = Readonly<Record<string, string | number | undefined>>;
  const linesOf = (broker: { stderr(): string }): Line[] =>
    broker
      .stderr()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
  const line = (broker: { stderr(): string }, words: string): Line | undefined =>
    linesOf(broker).find(({ message }) => String(message).startsWith(words));

  for (const launcher of launchers) {
    it(`say what runs, just as --version does, on ${launcher.name}`, { skip: skipOf(launcher) }, async () => {
      const broker = await startBroker(launcher, { args: ['--log-format', 'json'] });
      await broker.stop();
      const { stdout } = await run([...launcher.bpbroker, '--version'], { env: cleanEnv(broker.dir) });
      const { version, commit, runtime, target, file, pid } = linesOf(broker)[0] ?? {};
      const parts = [...(commit === undefined ? [] : [`commit ${commit}`]), runtime, target];
      assert.equal(stdout, `bpbroker ${version} (${parts.join(', ')})\n`);
      assert.deepEqual([file, pid], [broker.configFile, broker.pid]);
    });
  }

  it('say what a crash has left, and nothing of one after a clean stop', async () => {
    const args = ['--log-format', 'json'];
    const broker = await startBroker(reference, { args });
    const client = await connectTo(broker);
    for (const name of ['a', 'b', 'c']) await client.replace(name, 'x');
    await broker.kill();
    assert.deepEqual([line(broker, 'opened')?.['entries'], line(broker, 'opened')?.['revision']], [0, 0]);
    const { dir } = broker;
    const journal = readdirSync(dir).find((name) => /\.journal\.\d+$/.test(name)) ?? '';
    const file = path.join(dir, journal);
    // The last record is followed by spare room, which a record begins to fill.
    writeFileSync(file, `${readFileSync(file, 'latin1').replace(/\0+$/, '')}torn`, 'latin1');
    const after = await startBroker(reference, { dir, args });
    await after.stop();
    const { level, replayed, torn_bytes: torn } = line(after, 'the broker was not stopped cleanly') ?? {};
    assert.deepEqual([level, replayed, torn], ['warn', 3, 4]);
    assert.deepEqual([line(after, 'opened')?.['entries'], line(after, 'opened')?.['revision']], [3, 3]);
    const last = await startBroker(reference, { dir, args });
    await last.stop();
    assert.equal(line(last, 'the broker was not stopped cleanly'), undefined);
    assert.equal(line(last, 'opened')?.['entries'], 3);
  });

  it("keep to the level of the file's options, and the ready line comes at every level", async () => {
    const broker = await startBroker(reference, { config: { _global: { log_level: 'warn' } } });
    await broker.stop();
    assert.match(broker.stderr(), /^ready: [^\n]*\n$/);
  });

  it('are JSON with --log-format auto where no terminal reads them, and text without it', async () => {
    const auto = await startBroker(reference, { args: ['--log-format', 'auto'] });
    await auto.stop();
    assert.equal(linesOf(auto)[0]?.['message'], 'starting');
    const plain = await startBroker(reference);
    await plain.stop();
    assert.match(plain.stderr(), /^\S+ info starting version=/);
  });
});

describe('--log-format auto', () => {
  it('is text on a terminal', { skip: ptyProblem }, async () => {
    const broker = await startBroker(reference);
    const file = path.join(tempDir(), 'b.json');
    const taken = ['start', '--config', file, '--listen-port', String(broker.port), '--log-format', 'auto'];
    const { stdout } = await runOnTerminal([...reference.bpbroker, ...taken], {
      env: cleanEnv(path.dirname(file)),
    });
    assert.match(stdout, /^\S+ info starting version=/);
    await broker.stop();
  });
});
