import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cleanEnv, parseReady, type RunResult } from '../../support/programs/programs.ts';
import { createNetwork, netnsProblem, type Network } from '../../support/network/netns.ts';
import { tempDir } from '../../support/temp.ts';
import { untilEqual, waitFor } from '../../support/wait.ts';
import { follow, reference, type Running } from '../support.ts';

/** Hosts that have our programs and nothing else: each its own home, the default ports, no address known to anybody. */
interface Hosts {
  readonly net: Network;
  /** The folder of their homes. */
  readonly dir: string;
  /** Starts a broker on a host and waits until it is ready. */
  broker(host: string, ...args: string[]): Promise<Running>;
  client(host: string, ...args: string[]): Promise<RunResult>;
  /**
   * Types a client command until it ends with `code`: a broker that a busy machine stops for a moment is not
   * heard. Each try has a home of its own, because one that hears another broker keeps its identity.
   */
  ends(code: number, host: string, ...args: string[]): Promise<RunResult>;
  /** A client command that must succeed: what it prints. */
  prints(host: string, ...args: string[]): Promise<string>;
}

async function hostsOf(options: Parameters<typeof createNetwork>[0]): Promise<Hosts> {
  const net = await createNetwork(options);
  const dir = tempDir();
  const at = (host: string): { cwd: string; env: Record<string, string> } => {
    const cwd = path.join(dir, host);
    mkdirSync(cwd, { recursive: true });
    return { cwd, env: cleanEnv(cwd, { BPBROKER_INTERFACES: '' }) };
  };
  const client: Hosts['client'] = (host, ...args) =>
    net.run(host, [...reference.bpclient, ...args], at(host));
  let tries = 0;
  return {
    net,
    dir,
    client,
    async broker(host, ...args) {
      const running = follow(net.spawn(host, [...reference.bpbroker, 'start', ...args], at(host)));
      await waitFor('the ready line', () => parseReady(running.stderr()));
      return running;
    },
    ends(code, host, ...args) {
      const once = async (): Promise<RunResult> => {
        const home = at(`try-${++tries}`);
        const result = await net.run(host, [...reference.bpclient, ...args], home);
        assert.equal(result.code, code, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
        return result;
      };
      return waitFor(`${args.join(' ')} to end with ${code}`, once, 60_000);
    },
    async prints(host, ...args) {
      const { code, stdout, stderr } = await client(host, ...args);
      assert.equal(code, 0, `${host}: ${args.join(' ')}: ${stderr}`);
      return stdout.trimEnd();
    },
  };
}

const register = (name: string, data: string): string[] => [
  '-b',
  '127.0.0.1',
  'service',
  'register',
  '--name',
  name,
  '--data',
  data,
];
const discover = (name: string): string[] => ['discover', '--name', name];
const get = (name: string): string[] => ['service', 'get', '--name', name];
const lan = { a: ['10.77.1.1/24'], b: ['10.77.1.2/24'], c: ['10.77.1.3/24'] };

describe('hosts of one network', { skip: netnsProblem() ?? false, concurrency: 4 }, () => {
  it('find the broker by a name alone, read, and wait for each other; nobody has a default route', async () => {
    const { net, broker, client, prints } = await hostsOf({ hosts: lan });
    await broker('a');
    await prints('a', ...register('shop-cluster1', '{"db": "10.0.0.5"}'));
    for (const host of ['b', 'c']) {
      assert.equal(await prints(host, ...discover('shop-cluster1')), '10.77.1.1');
      assert.equal(await prints(host, ...get('shop-cluster1'), '--cols', 'db'), '10.0.0.5');
      assert.match(await prints(host, ...get('shop-cluster1')), /"last_write_ip": "127\.0\.0\.1"/);
    }
    // The broker's own host finds it by the address that the others use.
    assert.equal(await prints('a', ...discover('shop-cluster1')), '10.77.1.1');
    const barrier = [
      'service',
      'list',
      '--prefix',
      'node/',
      '--wait-count',
      '2',
      '--timeout',
      '60s',
      '--cols',
      'name',
    ];
    const passed = ['b', 'c'].map((host) => prints(host, ...barrier));
    for (const host of ['b', 'c']) {
      await prints(host, 'service', 'register', '--name', `node/${host}`, '--data', '{}');
      const { last_write_ip: ip } = JSON.parse(await prints(host, ...get(`node/${host}`))) as Record<
        string,
        unknown
      >;
      assert.equal(ip, lan[host as 'b'][0]?.split('/')[0]);
    }
    assert.deepEqual(await Promise.all(passed), ['node/b\nnode/c', 'node/b\nnode/c']);
    const none = await client('b', ...discover('no-such-name'), '--timeout', '500ms');
    assert.deepEqual([none.code, none.stdout], [6, ''], none.stderr);
    assert.match(none.stderr, /^Fatal error: No broker holding 'no-such-name'[^\n]*\n$/);
    await net.close();
  });

  it('wait for a broker, and for the name, that come later; one that does not hold it is not taken', async () => {
    const { net, broker, prints } = await hostsOf({ hosts: { ...lan, d: ['10.77.1.4/24'] } });
    await broker('d');
    const wait = ['--wait', '--timeout', '20s'];
    const found = prints('b', ...discover('late'), ...wait);
    const got = prints('c', ...get('late'), ...wait);
    const settled = Promise.race([found, got]).then(() => true);
    await sleep(400);
    await broker('a');
    assert.equal(await Promise.race([settled, sleep(400, false)]), false);
    await prints('a', ...register('late', 'here'));
    assert.deepEqual(await Promise.all([found, got]), ['10.77.1.1', 'here']);
    await net.close();
  });

  it('take two brokers that hold a name for two, and say so', async () => {
    const { net, broker, client, ends, prints } = await hostsOf({ hosts: lan });
    for (const host of ['a', 'b']) {
      await broker(host);
      await prints(host, ...register('foo', `of ${host}`));
    }
    await prints('b', ...register('bar', 'of b'));
    for (const args of [discover('foo'), get('foo')]) {
      const { stdout, stderr } = await ends(7, 'c', ...args);
      assert.equal(stdout, '');
      assert.match(stderr, /^Fatal error: [^\n]*\n$/);
      for (const address of ['10.77.1.1', '10.77.1.2']) assert.ok(stderr.includes(address), stderr);
    }
    const all = async (): Promise<string[]> =>
      (await prints('c', ...discover('foo'), '--all')).split('\n').toSorted();
    await untilEqual('both brokers', ['10.77.1.1', '10.77.1.2'], all);
    const json = async (): Promise<number> =>
      (JSON.parse(await prints('c', ...discover('foo'), '--all', '--format', 'json')) as unknown[]).length;
    await untilEqual('both brokers, in JSON', 2, json);
    assert.equal(await prints('c', '-b', '10.77.1.2', ...get('foo')), 'of b');
    assert.equal((await ends(0, 'c', ...get('bar'))).stdout, 'of b\n', 'the one that holds it');
    // Nobody holds it, and chance must not decide who will. A try that hears one broker alone makes the entry.
    let tries = 0;
    const anywhere = async (): Promise<unknown> => {
      const name = `new${++tries}`;
      const { code, stdout } = await client('c', 'service', 'register', '--name', name, '--data', 'x');
      return [code, stdout];
    };
    await untilEqual('both brokers to be heard', [7, ''], anywhere);
    await net.close();
  });

  for (const keyed of [false, true]) {
    it(`row "a copied broker": take copies of one for two, ${keyed ? 'with' : 'without'} a key`, async () => {
      // The broker has two addresses on the way to the client, and is one all the same.
      const hosts = {
        a: ['10.77.1.1/24', '10.77.2.1/24'],
        b: ['10.77.1.2/24'],
        c: ['10.77.1.3/24', '10.77.2.3/24'],
      };
      const { net, dir, broker, ends, prints } = await hostsOf({ hosts });
      const key = randomBytes(32).toString('hex');
      const file = path.join(dir, 'key');
      writeFileSync(file, key);
      const image = path.join(dir, 'image');
      mkdirSync(image);
      const discovery = keyed ? { discover: { _access_key: key } } : {};
      writeFileSync(
        path.join(image, 'bpbroker.json'),
        JSON.stringify({ ...discovery, services: { foo: { _str: 'x' } } }),
      );
      const withKey = keyed ? ['--discover-key-file', file] : [];
      const first = await broker('a', '--config', path.join(image, 'bpbroker.json'));
      const one = await prints('c', ...discover('foo'), '--all', ...withKey);
      assert.match(one, /^10\.77\.[12]\.1$/, 'one broker, at both addresses');
      assert.equal(await prints('c', ...get('foo'), ...withKey), 'x');
      await first.stop('SIGTERM');

      for (const host of ['a', 'b']) {
        cpSync(image, path.join(dir, `copy-${host}`), { recursive: true });
        await broker(host, '--config', path.join(dir, `copy-${host}`, 'bpbroker.json'));
      }
      const identity = parseReady(first.stderr())?.fingerprint ?? '';
      for (const args of [
        discover('foo'),
        get('foo'),
        ['discover'],
        ['ping'],
        ['service', 'replace', '--name', 'foo', '--data', 'y'],
        [...get('foo'), '--fingerprint', identity],
        [...get('foo'), '--wait', '--timeout', '20s'],
        ['service', 'watch', '--name', 'foo', '--timeout', '20s'],
      ]) {
        const { stdout, stderr } = await ends(7, 'c', ...args, ...withKey);
        assert.equal(stdout, '', args.join(' '));
        assert.match(stderr, /10\.77\.[12]\.1\b.*10\.77\.1\.2\b|10\.77\.1\.2\b.*10\.77\.[12]\.1\b/);
        assert.match(stderr, /copies of one broker/);
      }
      const both = async (): Promise<unknown> => {
        const all = (await prints('c', ...discover('foo'), '--all', ...withKey)).split('\n').toSorted();
        return [all.length, all.at(0)?.slice(0, 6)];
      };
      await untilEqual('both copies', [2, '10.77.'], both);
      const instances = async (): Promise<number> => {
        const json = await prints('c', 'discover', '--all', '--format', 'json', ...withKey);
        return new Set((JSON.parse(json) as { instance: string }[]).map(({ instance }) => instance)).size;
      };
      await untilEqual('an instance of each', 2, instances);
      await net.close();
    });
  }

  it('on several subnets: a broker with two addresses is one, and a client asks on both', async () => {
    const { net, broker, ends, prints } = await hostsOf({
      hosts: {
        a: ['10.77.1.1/24', '10.77.2.1/24'],
        b: ['10.77.2.2/24'],
        both: ['10.77.1.9/24', '10.77.2.9/24'],
        far: ['10.77.3.1/24'],
        edge: ['10.77.3.2/24', '10.77.1.8/24'],
      },
    });
    await broker('a');
    await broker('far', '--listen-ip', '10.77.3.1');
    await prints('a', ...register('foo', 'x'));
    await prints('far', '-b', '10.77.3.1', ...register('bar', 'y').slice(2));
    assert.equal(await prints('b', ...discover('foo')), '10.77.2.1');
    assert.match(await prints('both', ...discover('foo')), /^10\.77\.[12]\.1$/);
    const one = async (): Promise<unknown> => {
      const json = await prints('both', ...discover('foo'), '--all', '--format', 'json');
      return (JSON.parse(json) as { addresses: string[] }[]).map(({ addresses }) => addresses.toSorted());
    };
    await untilEqual('one broker at both addresses', [['10.77.1.1', '10.77.2.1']], one);
    assert.equal((await ends(0, 'edge', ...get('foo'))).stdout, 'x\n');
    assert.equal((await ends(0, 'edge', ...get('bar'))).stdout, 'y\n');
    assert.equal(await prints('edge', ...discover('bar'), '--interface', 'eth0'), '10.77.3.1');
    await net.close();
  });

  it('with a discovery key find the broker that has it, whatever else answers', async () => {
    const { net, broker, client, prints } = await hostsOf({ hosts: lan });
    const key = randomBytes(32).toString('hex');
    const dir = tempDir();
    const file = (name: string, text: string): string => {
      writeFileSync(path.join(dir, name), text);
      return path.join(dir, name);
    };
    const config = file('keyed.json', JSON.stringify({ discover: { _access_key: [key] } }));
    await broker('a', '--config', config);
    await broker('b');
    for (const host of ['a', 'b']) await prints(host, ...register('foo', `of ${host}`));
    const withKey = ['--discover-key-file', file('key', key)];
    assert.equal(await prints('c', ...discover('foo'), ...withKey), '10.77.1.1');
    assert.equal(await prints('c', ...get('foo'), ...withKey), 'of a');
    assert.equal(await prints('a', ...get('foo'), ...withKey), 'of a', 'on its own host too');
    // Without the key there is only the other one; and nothing is said of the first.
    assert.equal(await prints('c', ...get('foo')), 'of b');
    const missing = await client('c', ...discover('bar'), ...withKey, '--timeout', '500ms');
    assert.equal(missing.code, 6, missing.stderr);
    await net.close();

    // By link-local addresses, which the broker names without a zone, and on the link that it is on.
    const six = await hostsOf({ hosts: { a: ['lan', 'other'], b: ['other', 'lan'] }, ipv6: true });
    await six.broker('a', '--config', file('six.json', JSON.stringify({ discover: { _access_key: key } })));
    await six.prints('a', '-b', '[::1]', ...register('foo', 'x').slice(2));
    const found = await six.prints('b', ...discover('foo'), ...withKey, '--format', 'json');
    const { address, addresses } = JSON.parse(found) as { address: string; addresses: string[] };
    assert.match(address, /^fe80::[0-9a-f:]+%eth[01]$/);
    for (const one of addresses) assert.match(one, /^fe80::[0-9a-f:]+%eth[01]$/);
    assert.equal(await six.prints('b', ...get('foo'), ...withKey), 'x');
    await six.net.close();
  });

  it('behind a router are reached by --target', async () => {
    const { net, broker, client, prints } = await hostsOf({
      hosts: { a: ['10.77.1.1/24'], r: ['10.77.1.254/24', '10.77.2.254/24'], c: ['10.77.2.1/24'] },
      routes: { a: ['default via 10.77.1.254'], c: ['default via 10.77.2.254'] },
      routers: ['r'],
    });
    await broker('a');
    await prints('a', ...register('foo', 'x'));
    assert.equal((await client('c', ...discover('foo'), '--timeout', '500ms')).code, 6);
    const target = ['--target', '10.77.1.1'];
    assert.equal(await prints('c', ...discover('foo'), ...target), '10.77.1.1');
    assert.equal(await prints('c', ...get('foo'), '--target', '10.77.2.77', ...target), 'x');
    await net.close();
  });

  it('without IPv4 find each other by link-local IPv6', async () => {
    const { net, broker, prints } = await hostsOf({ hosts: { a: ['lan'], b: ['lan'] }, ipv6: true });
    await broker('a');
    await prints('a', '-b', '[::1]', ...register('foo', 'x').slice(2));
    assert.match(await prints('b', ...discover('foo')), /^fe80::[0-9a-f:]+%eth0$/);
    assert.equal(await prints('b', ...get('foo')), 'x');
    await net.close();
  });
});
