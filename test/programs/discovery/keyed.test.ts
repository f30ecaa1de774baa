import { runtime } from '#runtime';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createKeyedDiscovery } from '../../../src/broker/discovery/keyed-discovery.ts';
import { startResponder } from '../../../src/broker/discovery/responder.ts';
import { connect } from '../../../src/client/client.ts';
import { defaults } from '../../../src/config/schema.ts';
import { keyedQuestion } from '../../../src/protocol/discovery/keyed-forms.ts';
import { silentLogger } from '../../../src/protocol/logger.ts';
import { makeCertificate } from '../../support/network/certificate.ts';
import { atEnd } from '../../support/cleanup.ts';
import {
  cleanEnv,
  launchers,
  run,
  type RunningBroker,
  type RunResult,
  startBroker,
} from '../../support/programs/programs.ts';
import { startTlsServer, type TlsServer } from '../../support/network/rogue.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { bpbroker, reference, skipOf } from '../support.ts';

const key = randomBytes(32).toString('hex');
const otherKey = randomBytes(32).toString('hex');
const canary = 'canary-8c21';
const services = { foo: { _str: 'bar' } };
const get = ['service', 'get', '--name', 'foo'];

function keyFile(text: string): string {
  const file = path.join(tempDir(), 'key');
  writeFileSync(file, `${text}\n`);
  return file;
}

/** What a command gave: exit code and output; what it says on standard error must not hold a key. */
function outcome({ code, stdout, stderr }: RunResult): [number | undefined, string] {
  for (const secret of [key, otherKey, canary]) assert.ok(!`${stdout}${stderr}`.includes(secret), stderr);
  if (code !== 0) assert.match(stderr, /^Fatal error: [^\n]*\n$/);
  return [code, stdout];
}

/** A TLS server with a certificate of its own. */
async function imposter(forwardTo?: number): Promise<TlsServer> {
  const server = await startTlsServer(await makeCertificate(), '127.0.0.1', 0, forwardTo ?? 'fixed');
  atEnd(() => void server.close());
  return server;
}

/** Answers keyed queries with the right key, and names a port and a certificate that do not belong together. */
async function misleadingResponder(port: number, fingerprint: string): Promise<number> {
  const config = { ...defaults, discover: { _access_key: key } };
  const has = (): Promise<boolean> => Promise.resolve(true);
  const discovery = createKeyedDiscovery({ config, id: 'x', instance: 'x' });
  assert.ok(discovery);
  discovery.announce({ port, fingerprint });
  const { form } = discovery;
  const responder = await startResponder({ listenIp: '127.0.0.1', port: 0, has, log: silentLogger, form });
  atEnd(() => void responder.close());
  return responder.port;
}

let broker: RunningBroker;
let plain: RunningBroker;
before(async () => {
  broker = await startBroker(reference, { config: { services, discover: { _access_key: [otherKey, key] } } });
  plain = await startBroker(reference, { config: { services } });
});
after(async () => {
  for (const secret of [key, otherKey, canary])
    assert.ok(!broker.stderr().includes(secret), 'no key is logged');
  await Promise.all([broker.kill(), plain.kill()]);
});

for (const launcher of launchers) {
  describe(`a client with a discovery key, on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    const home = tempDir();
    const file = keyFile(key);
    const withKey = ['--discover-key-file', file];
    const known = path.join(home, 'config', 'bpbroker', 'known_brokers');
    /** A client that finds its broker. */
    const finds = async (port: number, args: readonly string[], env = {}): Promise<RunResult> => {
      const command = [...launcher.bpclient, ...args, '--port', String(port)];
      return run(command, { cwd: home, env: { ...cleanEnv(home), ...env } });
    };
    /** A client with --bpbroker. */
    const told = async (port: number, args: readonly string[], env = {}): Promise<RunResult> => {
      const command = [...launcher.bpclient, '--bpbroker', `127.0.0.1:${port}`, ...args];
      return run(command, { cwd: home, env: { ...cleanEnv(home), ...env } });
    };
    const short = ['--timeout', '500ms'];

    it('finds the broker that has it, and talks to that one without having met it', async () => {
      const { udpPort, fingerprint } = broker;
      const discover = ['discover', '--name', 'foo'];
      assert.deepEqual(outcome(await finds(udpPort, [...discover, ...withKey])), [
        0,
        `127.0.0.1:${udpPort}\n`,
      ]);
      const json = await finds(udpPort, [...discover, ...withKey, '--format', 'json']);
      const found = JSON.parse(json.stdout) as Record<string, unknown>;
      assert.equal(found['fingerprint'], fingerprint);
      const variable = { BPBROKER_DISCOVER_KEY: key, BPBROKER_ACCESS_KEY: canary };
      for (const result of [
        await finds(udpPort, [...get, ...withKey]),
        await finds(udpPort, get, variable),
      ]) {
        assert.deepEqual(outcome(result), [0, 'bar\n'], result.stderr);
        assert.equal(result.stderr, '', 'no first contact');
      }
      assert.ok(!existsSync(known), 'nothing is kept');
    });

    it('finds nobody without it, with another one, or where no broker has one', async () => {
      const wrong = ['--discover-key-file', keyFile('0123456789abcdef'.repeat(4))];
      const results = await Promise.all(
        (
          [
            [broker.udpPort, []],
            [broker.udpPort, wrong],
            [plain.udpPort, withKey],
          ] as const
        ).map(([port, args]) => finds(port, [...get, ...short, ...args])),
      );
      assert.deepEqual(results.map(outcome), [
        [6, ''],
        [6, ''],
        [6, ''],
      ]);
    });

    it('has a broker given by its address prove itself', async () => {
      const good = await told(broker.port, [...get, ...withKey]);
      assert.deepEqual([...outcome(good), good.stderr], [0, 'bar\n', '']);
      assert.ok(!existsSync(known), 'nothing is kept');
      const wrong = await told(broker.port, get, { BPBROKER_DISCOVER_KEY: '0123456789abcdef'.repeat(4) });
      const none = await told(plain.port, [...get, ...withKey]);
      for (const result of [wrong, none]) {
        assert.deepEqual(outcome(result), [8, '']);
        assert.match(
          result.stderr,
          /does not prove that it has the discovery key .*; nothing secret was sent/,
        );
      }
    });

    it('wants both, its fingerprint and the proof, where both are asked for', async () => {
      const { port, udpPort, fingerprint } = broker;
      const right = ['--fingerprint', fingerprint, ...withKey];
      assert.deepEqual(outcome(await told(port, [...get, ...right])), [0, 'bar\n']);
      assert.deepEqual(outcome(await finds(udpPort, [...get, ...right])), [0, 'bar\n']);
      const wrong = ['--fingerprint', `sha256:${'0'.repeat(64)}`, ...withKey];
      assert.deepEqual(outcome(await told(port, [...get, ...wrong])), [8, '']);
      assert.deepEqual(outcome(await finds(udpPort, [...get, ...wrong])), [8, '']);
      const unproved = ['--fingerprint', plain.fingerprint, ...withKey];
      assert.deepEqual(outcome(await told(plain.port, [...get, ...unproved])), [8, '']);
    });

    it('sends no byte of a request to another, and to one that has yet to prove itself a query alone', async () => {
      const env = { BPBROKER_ACCESS_KEY: canary };
      const another = await imposter();
      const udpPort = await misleadingResponder(another.port, broker.fingerprint.slice('sha256:'.length));
      const misled = await finds(udpPort, [...get, ...withKey], env);
      assert.deepEqual(outcome(misled), [8, '']);
      assert.match(misled.stderr, /nothing was sent to it/);
      const named = ['--fingerprint', broker.fingerprint];
      assert.deepEqual(outcome(await told(another.port, [...get, ...withKey, ...named], env)), [8, '']);
      assert.deepEqual([another.received(), another.connections() >= 2], ['', true]);

      assert.deepEqual(outcome(await told(another.port, [...get, ...withKey], env)), [8, '']);
      const [head = '', body = ''] = another.received().split('\r\n\r\n');
      assert.match(head, /^POST \/discover HTTP\/1\.1\r\n/);
      assert.doesNotMatch(head, /authorization|cookie/i);
      assert.match(
        body,
        /^BPD2 q [0-9a-f]{64}\n\{"versions":\[2\],"nonce":"[0-9a-f]{32}","time":\d{13},"name":""\} *(?:POST|$)/,
      );
      for (const secret of [key, canary, 'foo']) assert.ok(!another.received().includes(secret));
    });

    it('detects a host that passes on the proof of the broker', async () => {
      const between = await imposter(broker.port);
      const env = { BPBROKER_ACCESS_KEY: canary };
      const result = await told(between.port, [...get, ...withKey], env);
      assert.deepEqual(outcome(result), [8, '']);
      assert.match(result.stderr, /Another host intercepts the connection .*; nothing secret was sent/);
      for (const part of [broker.fingerprint, between.fingerprint]) assert.ok(result.stderr.includes(part));
      assert.ok(!between.received().includes(canary));
    });
  });

  it(
    `a broker on ${launcher.name} proves itself over UDP and HTTPS, and tells strangers nothing`,
    {
      skip: skipOf(launcher),
    },
    async () => {
      const programs = { ...launcher, bpclient: reference.bpclient };
      const keyed = await startBroker(programs, { config: { services, discover: { _access_key: key } } });
      const env = { BPBROKER_DISCOVER_KEY: key };
      assert.deepEqual(outcome(await keyed.client(get, { env })), [0, 'bar\n']);
      const found = ['--port', String(keyed.udpPort), ...get];
      assert.deepEqual(outcome(await keyed.client(found, { env, address: false })), [0, 'bar\n']);
      const answers = await Promise.all(
        [keyed, plain].map(async ({ port }) => {
          const post = [
            '-sk',
            '-w',
            '%{http_code}',
            `https://127.0.0.1:${port}/discover`,
            '--data-binary',
            '@-',
          ];
          const bodies = ['', 'foo\n', 'BPD2 q ', ' '.repeat(512), 'x'.repeat(100_000)];
          const given: string[] = [];
          for (const input of bodies) given.push((await run(['curl', ...post], { input })).stdout);
          return given;
        }),
      );
      assert.deepEqual(answers[0], answers[1], 'as one that has no key');
      for (const answer of answers.flat()) assert.match(answer, /"code":"not_found".*404$/);
      await keyed.kill();
    },
  );

  it(
    `row "captured": a broker on ${launcher.name} answers no query that was captured a minute ago, and no name over HTTPS`,
    { skip: skipOf(launcher) },
    async () => {
      const keyed = await startBroker(launcher, { config: { services, discover: { _access_key: key } } });
      const made = (name: string, ago: number): Uint8Array =>
        keyedQuestion(name, key, Infinity, () => Date.now() - ago).queries(0)[0] ?? new Uint8Array();
      const socket = createSocket('udp4');
      atEnd(() => socket.close());
      const answers: number[] = [];
      socket.on('message', ({ length }) => answers.push(length));
      const overUdp = (datagram: Uint8Array): void => socket.send(datagram, keyed.udpPort, '127.0.0.1');
      const overHttps = async (datagram: Uint8Array): Promise<number> => {
        const { status } = await runtime.exchange(
          { host: '127.0.0.1', port: keyed.port },
          { path: '/discover', body: datagram, maxBytes: 1280, timeoutMs: 10_000, accept: () => undefined },
        );
        return status;
      };
      for (const ago of [60_000, 11_000, -60_000, 365 * 86_400_000]) {
        for (const name of ['foo', '']) overUdp(made(name, ago));
        assert.equal(await overHttps(made('', ago)), 404, `made ${ago} ms ago`);
      }
      const fresh = made('', 0);
      assert.deepEqual([await overHttps(fresh), await overHttps(fresh)], [200, 404], 'once');
      overUdp(fresh);
      for (const name of ['foo', 'none']) assert.equal(await overHttps(made(name, 0)), 404, name);
      // The control, which is last: what came before it has been read by then.
      overUdp(made('foo', 0));
      await waitFor('the answer to the fresh query', () => answers.length > 0);
      await sleep(100);
      assert.equal(answers.length, 1);
      await keyed.kill();
    },
  );
}

describe('discovery keys', () => {
  it('a certificate that changed needs no trust where the key vouches for it', async () => {
    const home = tempDir();
    const config = { services, discover: { _access_key: key } };
    const former = await startBroker(reference, { config });
    assert.equal((await former.client(get, { home })).code, 0, 'met without the key');
    await former.kill();
    const anew = await startBroker(reference, { config: { ...config, api: { listen_port: former.port } } });
    assert.equal((await anew.client(get, { home })).code, 8);
    const env = { BPBROKER_DISCOVER_KEY: key };
    assert.deepEqual(outcome(await anew.client(get, { home, env })), [0, 'bar\n']);
    assert.equal((await anew.client(get, { home })).code, 8, 'and the kept identity is as it was');
    await anew.kill();
  });

  it('row "guessing a weak key": are refused when they are weak, by broker and client, with the command that makes one', async () => {
    const dir = tempDir();
    const config = path.join(dir, 'c.json');
    for (const weak of ['secret', ['0123456789abcdef'.repeat(4), 'x'], [], [''], 'a b'.repeat(30)]) {
      writeFileSync(config, JSON.stringify({ discover: { _access_key: weak } }));
      const { code, stderr } = await bpbroker(dir, ['start', '--config', config]);
      assert.equal(code, 1, JSON.stringify(weak));
      assert.match(stderr, /^Fatal error: [^\n]*discover\._access_key[^\n]*\n$/);
      if (weak.length > 0) assert.match(stderr, /bpbroker keygen/);
      assert.equal(readFileSync(config, 'utf8'), JSON.stringify({ discover: { _access_key: weak } }));
    }
    const none = path.join(dir, 'none');
    for (const [args, env] of [
      [['--discover-key-file', keyFile('secret')], {}],
      [['--discover-key-file', none], {}],
      [[], { BPBROKER_DISCOVER_KEY: 'secret' }],
    ] as const) {
      for (const command of [get, ['discover', '--name', 'foo']]) {
        const { code, stderr } = await plain.client([...command, ...args], { address: command === get, env });
        assert.equal(code, 2, stderr);
        assert.match(
          stderr,
          /^Fatal error: [^\n]*(bpbroker keygen|Cannot read --discover-key-file)[^\n]*\n$/,
        );
      }
    }
  });

  it('what keygen prints is one', async () => {
    const made = (await bpbroker(tempDir(), ['keygen'])).stdout.trim();
    const keyed = await startBroker(reference, { config: { services, discover: { _access_key: made } } });
    assert.equal((await keyed.client(get, { env: { BPBROKER_DISCOVER_KEY: made } })).stdout, 'bar\n');
    await keyed.kill();
  });

  it('serve the library as well', async () => {
    const knownBrokers = path.join(tempDir(), 'known');
    const at = { broker: `127.0.0.1:${broker.port}`, knownBrokers };
    const client = await connect({ ...at, discoverKey: key });
    assert.deepEqual((await client.get('foo')).data, 'bar');
    client.close();
    await assert.rejects(connect({ ...at, discoverKey: 'f0'.repeat(5) }), { code: 'usage' });
    await assert.rejects(connect({ ...at, discoverKey: '0123456789abcdef'.repeat(4) }), {
      code: 'identity_mismatch',
    });
    assert.ok(!existsSync(knownBrokers));
  });
});
