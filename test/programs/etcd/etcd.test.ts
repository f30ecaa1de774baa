import { runtime } from '#runtime';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { createAuthority } from '../../support/network/authority.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { askEtcd, type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { run, type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import { readTrail } from '../../support/registry/trail.ts';
import { waitFor } from '../../support/wait.ts';
import { userOf } from '../doctor/doctor-support.ts';
import { bpbroker, freePort, reference, skipOf, start } from '../support.ts';

const skip = lacking('etcd') || skipOf(reference);
const KEY = randomBytes(32).toString('hex');

describe('brokers over one etcd cluster', { skip, timeout: 180_000 }, () => {
  let cluster: EtcdCluster;
  let prefixes = 0;

  before(async () => {
    cluster = await startEtcd();
  });

  /** Brokers at 127.0.0.2, 127.0.0.3 and so on, all on one port: a client finds them by its targets. */
  async function doors(count: number, config: Record<string, object> = {}): Promise<RunningBroker[]> {
    const port = await freePort();
    const prefix = `/doors/${prefixes++}/`;
    return await Promise.all(
      Array.from({ length: count }, (_, i) =>
        startBroker(reference, {
          config: {
            services: {},
            ...config,
            api: { listen_ip: `127.0.0.${i + 2}`, listen_port: port },
            _store: { driver: 'etcd', endpoints: cluster.endpoints, prefix },
          },
        }),
      ),
    );
  }

  const found = (brokers: readonly RunningBroker[]): string[] => [
    ...brokers.flatMap((_, i) => ['--target', `127.0.0.${i + 2}`]),
    '--port',
    String(brokers[0]?.port),
    '--interface',
    'lo',
  ];
  const at = ({ url }: RunningBroker): string[] => ['--bpbroker', new URL(url).host];

  it('serve one registry under one identity, and are no rivals', async () => {
    const brokers = await doors(2);
    const [a, b] = brokers;
    assert.ok(a && b);
    assert.equal(a.fingerprint, b.fingerprint);
    assert.match(
      a.stderr(),
      / info opened the registry file=\S+ driver=etcd endpoints="?http:.* prefix=\/doors\/\d+\/ registry=/,
    );
    const home = tempDir();
    const client = (...args: string[]): ReturnType<typeof run> =>
      run([...reference.bpclient, ...args], { cwd: home, env: cleanEnv(home) });
    const made = await client(...at(a), 'service', 'register', '--name', 'foo', '--data', 'x');
    assert.deepEqual([made.code, made.stdout], [0, 'x\n'], made.stderr);
    const second = await client(...at(b), 'service', 'register', '--name', 'foo', '--data', 'y');
    assert.equal(second.code, 4);
    assert.equal((await client(...at(b), 'service', 'get', '--name', 'foo')).stdout, 'x\n');
    const discovered = await client('discover', '--name', 'foo', ...found(brokers));
    assert.deepEqual([discovered.code, discovered.stderr], [0, '']);
    assert.match(discovered.stdout, /^127\.0\.0\.[23]:\d+\n$/);
    // One that a busy machine stops for a moment is not heard in the time that a search takes.
    await waitFor('both brokers', async () => {
      const all = await client('discover', '--name', 'foo', '--all', ...found(brokers));
      assert.equal(all.stdout.trim().split('\n').length, 2, all.stdout + all.stderr);
      return true;
    });
  });

  for (const [form, keys] of [
    ['open', {}],
    ['keyed', { discover: { _access_key: KEY } }],
  ] as const) {
    it(`keep a wait of a client that one of them dies under (${form})`, async () => {
      const brokers = await doors(2, keys);
      const [a, b] = brokers;
      assert.ok(a && b);
      const home = tempDir();
      const keyFile = path.join(home, 'key');
      writeFileSync(keyFile, KEY);
      const options = { cwd: home, env: cleanEnv(home) };
      const own = form === 'keyed' ? ['--discover-key-file', keyFile] : [];
      // Without a name, it finds any broker.
      const call = [
        'service',
        'list',
        '--prefix',
        'late',
        '--wait-count',
        '1',
        '--cols',
        'name',
        '--verbose',
      ];
      const waiting = start([...reference.bpclient, ...call, ...own, ...found(brokers)], options);
      await waitFor('it to talk to one', () => /Talking to the broker at 127/.test(waiting.stderr()));
      const [, last] = /Talking to the broker at 127\.0\.0\.(\d)/.exec(waiting.stderr()) ?? [];
      const [lost, left] = last === '2' ? [a, b] : [b, a];
      await lost.kill();
      const other = `Talking to the broker at ${new URL(left.url).host}`;
      await waitFor(
        'it to notice',
        () => /out of reach/.test(waiting.stderr()) || waiting.stderr().includes(other),
        20_000,
      );
      const writer = [...reference.bpclient, 'service', 'register', '--name', 'late', '--data', 'here'];
      const written = await run([...writer, ...own, ...at(left)], options);
      assert.equal(written.code, 0, written.stderr);
      assert.equal(await waiting.ended, 0, waiting.stderr());
      assert.equal(waiting.stdout(), 'late\n');
    });
  }

  it('keep the options in their files, and the entries in etcd; back them up; and say when there is no majority', async () => {
    const [broker] = await doors(1);
    const [keyed] = await doors(1, { services: { _access_key: KEY } });
    assert.ok(broker && keyed);
    const { client, dir, configFile } = broker;
    const here = at(broker);
    const env = { BPBROKER: here[1] ?? '' };
    const { code } = await client(['service', 'register', '--name', 'foo', '--data', 'x'], {
      address: false,
      env,
    });
    assert.equal(code, 0);
    assert.ok(!readFileSync(configFile, 'utf8').includes('"foo"'));
    const backup = await bpbroker(dir, ['backup', '--config', configFile]);
    assert.equal(backup.code, 0, backup.stderr);
    assert.match(backup.stderr, /1 entry,/);
    const kept = readFileSync(backup.stdout.trim(), 'utf8');
    assert.ok(kept.includes('"foo": {"last_write_ts"'));
    assert.equal(statSync(backup.stdout.trim()).mode & 0o077, 0);
    const restored = path.join(dir, 'restored', 'bpbroker.json');
    mkdirSync(path.dirname(restored));
    const refused = await bpbroker(dir, ['restore', '--config', configFile, '--from', backup.stdout.trim()]);
    assert.deepEqual([refused.code, /in etcd/.test(refused.stderr)], [1, true]);
    const elsewhere = await bpbroker(dir, ['restore', '--config', restored, '--from', backup.stdout.trim()]);
    assert.equal(elsewhere.code, 0, elsewhere.stderr);
    const { _store: store } = JSON.parse(readFileSync(restored, 'utf8')) as { _store: { driver: string } };
    assert.equal(store.driver, 'file', 'its registry is in that file');
    const [first, second] = cluster.members;
    await Promise.all([first?.kill(), second?.kill()]);
    const ready = (of = broker): ReturnType<typeof fetched> => fetched(`${of.url}/readyz`);
    await waitFor('it to be said', async () => (await ready()).status === 503);
    for (const one of [broker, keyed])
      await waitFor('the reason', async () => /majority/.test((await ready(one)).body));
    const key = ['--fingerprint', keyed.fingerprint];
    for (const args of [at(broker), [...found([broker]), '--name', 'none'], [...at(keyed), ...key]]) {
      const unwell = await userOf({ BPBROKER_ACCESS_KEY: KEY }).doctor(args, 'broker_unwell', 1);
      assert.deepEqual(
        ['access_key', 'health'].map((id) => unwell.check(id).status),
        ['skip', 'fail'],
        unwell.text,
      );
      assert.match(unwell.json.message ?? '', /is not ready: store: .*majority/);
      assert.match(unwell.json.advice?.text ?? '', /members of the etcd cluster.*_store\.endpoints/);
    }
    first?.start();
    second?.start();
    await waitFor('it to be over', async () => (await ready()).status === 200);
  });

  it('have an audit trail each, of the calls that it answered itself', async () => {
    const brokers = await doors(2, { _audit: { to: 'file' } });
    for (let i = 0; i < 6; i++) {
      const broker = brokers[i % 2];
      assert.ok(broker);
      const set = ['service', 'replace', '--name', `n${i}`, '--data', 'x'];
      assert.equal((await broker.client([...at(broker), ...set], { address: false })).code, 0);
    }
    const trails = brokers.map(({ dir }) => readTrail(path.join(dir, 'bpbroker.audit.jsonl')));
    const writes = trails.map((lines) => lines.filter(({ event }) => event === 'write'));
    assert.deepEqual(
      writes.map((lines) => lines.map(({ entry }) => entry)),
      [
        ['n0', 'n2', 'n4'],
        ['n1', 'n3', 'n5'],
      ],
    );
    const [[a1 = 0, a2 = 0] = [], [b1 = 0] = []] = writes.map((lines) =>
      lines.map(({ revision }) => revision),
    );
    assert.ok(a1 < b1 && b1 < a2, 'the revisions are the registry’s');
  });

  it('reach members that ask for a client certificate', async () => {
    const authority = await createAuthority();
    const member = await authority.sign({ ips: ['127.0.0.1'], isClient: true });
    const own = await authority.sign({ names: ['broker'], isClient: true });
    const { fetch } = await runtime.openFetch({ authorities: [authority.cert], ...own });
    const secured = await startEtcd({ members: 1, tls: { ...member, ca: authority.cert }, fetch });
    const dir = tempDir();
    const written = Object.entries({ ca: authority.cert, cert: own.cert, key: own.key }).map(
      ([name, text]) => {
        const file = path.join(dir, `${name}.pem`);
        writeFileSync(file, text, { mode: 0o644 });
        return [name, file] as const;
      },
    );
    const files = Object.fromEntries(written);
    const { endpoints } = secured;
    const config = { services: {}, _store: { driver: 'etcd', endpoints, ...files } };
    const broker = await startBroker(reference, { config });
    const { code, stderr } = await broker.client(['service', 'register', '--name', 'foo', '--data', 'x']);
    assert.equal(code, 0, stderr);
    // Its key is nobody else's to read.
    assert.equal(statSync(files['key'] ?? '').mode & 0o007, 0);
    await broker.stop();
    await secured.close();
  });

  it('are refused what they cannot run with', async () => {
    const dir = tempDir();
    const file = path.join(dir, 'bpbroker.json');
    const refusal = async (store: object): Promise<string> => {
      writeFileSync(file, JSON.stringify({ api: { listen_port: 0 }, _store: { driver: 'etcd', ...store } }));
      const { code, stderr } = await bpbroker(dir, ['start', '--config', file]);
      assert.equal(code, 1, stderr);
      return stderr;
    };
    const { endpoints } = cluster;
    assert.match(await refusal({}), /_store\.endpoints is missing/);
    assert.match(await refusal({ endpoints: ['10.0.0.1'] }), /expected a URL/);
    assert.match(await refusal({ endpoints, prefix: '/x' }), /ends with '\/'/);
    assert.match(await refusal({ endpoints, cert: 'x.pem' }), /_store\.cert and _store\.key/);
    assert.match(await refusal({ endpoints, ca: '/none.pem' }), /_store\.ca: cannot read \/none\.pem/);
    const silent = `http://127.0.0.1:${await freePort()}`;
    const unanswered = await refusal({ endpoints: [silent] });
    assert.match(unanswered, /does not answer/);
    assert.ok(
      unanswered.includes(` info waiting for etcd endpoints=${silent} prefix=/bpbroker/\n`),
      unanswered,
    );
    await askEtcd(endpoints[2] ?? '', '/v3/kv/put', { key: btoa('/taken/m/registry'), value: btoa('{}') });
    assert.match(await refusal({ endpoints, prefix: '/taken/' }), /no registry of a broker/);
  });
});

function fetched(url: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get(url, { rejectUnauthorized: false, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
    }).once('error', reject);
  });
}
