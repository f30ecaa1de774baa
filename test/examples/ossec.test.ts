import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { reference } from '../programs/support.ts';
import { post } from '../support/network/https.ts';
import { cleanEnv, run, type RunningBroker, startBroker } from '../support/programs/programs.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait.ts';

const key = 'c'.repeat(64);
const hex = (digit: string): string => digit.repeat(64);

/** As OSSEC and its `manage_agents` leave it, removed agents of both kinds of marks among the lines. */
const present = [
  `001 web1 10.0.0.5 ${hex('a')}`,
  `002 #*#*#*#*#*#*#*#*#*#*#.6 ${hex('b')}`,
  `003 !db1 10.0.0.7 ${hex('c')}`,
  `1024 far any ${hex('d')}`,
  '',
].join('\n');

interface Ossec {
  readonly broker: RunningBroker;
  /** The server's `client.keys`. */
  readonly file: string;
  lines(): string[];
  /** A call from an address of this host. */
  call(method: string, data: string, from?: string): ReturnType<typeof post>;
}

async function installed(content: string | undefined, options: object = {}): Promise<Ossec> {
  const dir = tempDir();
  const server = path.join(dir, 'ossec');
  mkdirSync(path.join(server, 'etc'), { recursive: true });
  const file = path.join(server, 'etc', 'client.keys');
  if (content !== undefined) writeFileSync(file, content);
  const script = path.join(root, 'examples', 'extensions', 'ossec.ts');
  const install = [...reference.bpbroker, 'install-extension', '--script', script];
  const { code, stderr } = await run(install, { env: cleanEnv(dir), cwd: dir });
  assert.equal(code, 0, stderr);
  const config = { ossec: { _access_key: key, dir: server, ...options } };
  const broker = await startBroker(reference, { dir, config });
  return {
    broker,
    file,
    lines: () => readFileSync(file, 'utf8').split('\n').slice(0, -1),
    call: (method, data, from = '127.0.0.1') =>
      post({
        port: broker.port,
        path: `/ossec/${method}`,
        body: { data },
        headers: { authorization: `Bearer ${key}` },
        from,
      }),
  };
}

const loopback = process.platform === 'linux' ? false : 'only Linux answers on all of 127.0.0.0/8';

describe("the example of OSSEC's agents", () => {
  it('adds the caller after the existing lines, and keeps owner and mode of the file', async () => {
    const { broker, file, lines, call } = await installed(present);
    chmodSync(file, 0o640);
    if (process.getuid?.() === 0) chownSync(file, 1234, 4321);
    const before = statSync(file);
    const { status, contentType, body } = await call('AddAgent', 'web-2.example.com');
    assert.deepEqual([status, contentType], [200, 'text/plain; charset=utf-8'], body);
    assert.match(body, /^1025 web-2\.example\.com 127\.0\.0\.1 [0-9a-f]{64}$/);
    assert.equal(readFileSync(file, 'utf8'), `${present}${body}\n`);
    const after = statSync(file);
    assert.deepEqual([after.mode, after.uid, after.gid], [before.mode, before.uid, before.gid]);
    assert.equal((await call('RemoveAgent', 'web1')).status, 200);
    assert.equal(lines()[0], `001 #*#*#web1 10.0.0.5 ${hex('a')}`);
    assert.equal(lines().length, 5);
    assert.deepEqual(JSON.parse((await call('ListAgents', '')).body), [
      { id: '1024', name: 'far', ip: 'any' },
      { id: '1025', name: 'web-2.example.com', ip: '127.0.0.1' },
    ]);
    assert.deepEqual(readdirSync(path.dirname(file)), ['client.keys']);
    await broker.kill();
  });

  it('keeps the file correct under 32 calls at once', { skip: loopback }, async () => {
    const { broker, file, lines, call } = await installed(`001 web1 10.0.0.5 ${hex('a')}`);
    const calls = Array.from({ length: 32 }, (_, n) => call('AddAgent', `node${n}`, `127.0.1.${n + 1}`));
    const answers = await Promise.all(calls);
    assert.deepEqual(
      answers.map(({ status }) => status),
      answers.map(() => 200),
    );
    const [first, ...added] = lines();
    assert.equal(first, `001 web1 10.0.0.5 ${hex('a')}`, 'its line had no newline');
    assert.deepEqual(added.toSorted(), answers.map(({ body }) => body).toSorted());
    assert.deepEqual(
      added.map((line) => line.split(' ')[0]),
      Array.from({ length: 32 }, (_, n) => String(n + 2).padStart(3, '0')),
    );
    assert.equal(new Set(added.map((line) => line.split(' ')[3])).size, 32, 'each has a key of its own');
    for (const [n, { body }] of answers.entries())
      assert.match(body, new RegExp(`^\\d{3} node${n} 127\\.0\\.1\\.${n + 1} [0-9a-f]{64}$`));
    assert.deepEqual(readdirSync(path.dirname(file)), ['client.keys']);
    await broker.kill();
  });

  it('lets one of 32 simultaneous callers have a name, and one an address', { skip: loopback }, async () => {
    const { broker, lines, call } = await installed(undefined);
    const oneName = Array.from({ length: 16 }, (_, n) => call('AddAgent', 'same', `127.0.2.${n + 1}`));
    const oneAddress = Array.from({ length: 16 }, (_, n) => call('AddAgent', `n${n}`, '127.0.3.1'));
    for (const race of [oneName, oneAddress]) {
      const statuses = (await Promise.all(race)).map(({ status }) => status);
      assert.deepEqual(
        statuses.toSorted((a, b) => a - b),
        [200, ...Array.from({ length: 15 }, () => 409)],
      );
    }
    assert.equal(lines().length, 2);
    await broker.kill();
  });

  it('refuses names that are no host names, and changes nothing', async () => {
    const { broker, file, call } = await installed(present);
    for (const name of [
      '',
      'a',
      '#web',
      '!web',
      '-web',
      'a b',
      'a\nb',
      'a/b',
      'ä1',
      'x'.repeat(129),
      '{"a": 1}',
    ]) {
      const { status, body } = await call('AddAgent', name);
      assert.equal(status, 400, name);
      assert.match((JSON.parse(body) as { message: string }).message, /^Invalid host name /);
    }
    for (const [method, name, status] of [
      ['AddAgent', 'web1', 409],
      ['RemoveAgent', 'db1', 404],
    ] as const)
      assert.equal((await call(method, name)).status, status);
    assert.equal(readFileSync(file, 'utf8'), present);
    assert.equal((await call('AddAgent', 'db1')).status, 200, 'a removed agent leaves its name free');
    await broker.kill();
  });

  it('runs the restart command; when that fails the key remains, and the log says so', async () => {
    const flag = path.join(tempDir(), 'restarted');
    const good = await installed(present, { restart: ['touch', flag] });
    assert.equal((await good.call('AddAgent', 'web2')).status, 200);
    assert.ok(statSync(flag).isFile());
    await good.broker.kill();
    const bad = await installed(present, { restart: ['sh', '-c', 'echo no server here >&2; exit 3'] });
    const { status, body } = await bad.call('AddAgent', 'web2');
    assert.equal(status, 200);
    assert.equal(bad.lines().at(-1), body);
    await waitFor('the log', () =>
      /error extension log extension=ossec text=".*server was not restarted: .*no server here"/.test(
        bad.broker.stderr(),
      ),
    );
    await bad.broker.kill();
  });
});

describe("the document's example of execute", () => {
  it('works with its key, and is refused with an exit code of its own for each thing that is wrong', async () => {
    const { broker, lines } = await installed(present);
    const type = async (
      accessKey: string,
      method: string,
      data = 'web2',
    ): Promise<[number, string, string]> => {
      const args = ['--access-key', accessKey, 'execute', '--method', method, '--data', data, '--quiet'];
      const { code = -1, stdout, stderr } = await broker.client(args);
      return [code, stdout, stderr];
    };
    const [code, stdout, stderr] = await type(key, 'ossec.AddAgent');
    assert.deepEqual([code, stdout, stderr], [0, `${lines().at(-1)}\n`, '']);
    assert.match(stdout, /^1025 web2 127\.0\.0\.1 [0-9a-f]{64}\n$/);
    const refused: [exit: number, message: string, accessKey: string, method: string][] = [
      [5, "Incorrect access key for module 'ossec'", 'wrong', 'ossec.AddAgent'],
      [
        3,
        "Module 'osec' is not enabled; a top-level key 'osec' in the broker's configuration enables it",
        key,
        'osec.AddAgent',
      ],
      [
        5,
        "Method '_keysFile' is private: methods that begin with '_' cannot be called",
        key,
        'ossec._keysFile',
      ],
      [
        3,
        "Extension 'ossec' has no method 'AddAgents'; it has AddAgent, ListAgents, RemoveAgent",
        key,
        'ossec.AddAgents',
      ],
      [4, "The name 'web2' is taken by agent 1025 (web2, 127.0.0.1)", key, 'ossec.AddAgent'],
    ];
    for (const [exit, message, accessKey, method] of refused)
      assert.deepEqual(await type(accessKey, method), [exit, '', `Fatal error: ${message}\n`]);
    const keyless = await broker.client([
      'execute',
      '--method',
      'ossec.AddAgent',
      '--data',
      'web3',
      '--quiet',
    ]);
    assert.deepEqual(
      [keyless.code, keyless.stderr],
      [5, "Fatal error: Module 'ossec' asks for an access key, and none was given\n"],
    );
    assert.equal((await broker.client(['execute', '--method', 'ossec'])).code, 2);
    assert.equal(lines().length, 5);
    await broker.kill();
  });
});
