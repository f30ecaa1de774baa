import assert from 'node:assert/strict';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNetwork, netnsProblem, type Network } from '../../support/network/netns.ts';
import {
  cleanEnv,
  type Launcher,
  launchers,
  parseReady,
  type RunResult,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { follow, reference, type Running, skipOf, untilLines } from '../support.ts';

/** Hosts on one network, of which `old` and `new` are for a broker that moves with its folder, and `c` for its clients. */
interface Hosts {
  readonly net: Network;
  readonly dir: string;
  /** Starts the broker whose folder has this name on a host. */
  broker(host: string, folder?: string): Promise<Running>;
  /** Starts a program on `c`. For host names there, `hosts` is `/etc/hosts`, and `resolv.conf` in `dir` is that in `/etc`. */
  program(...words: string[]): Running;
  /** Starts a client command on `c`. */
  start(...args: string[]): Running;
  run(...args: string[]): Promise<RunResult>;
  readonly hosts: string;
}

async function hostsFor(launcher: Launcher): Promise<Hosts> {
  const net = await createNetwork({
    hosts: { old: ['10.77.1.1/24'], new: ['10.77.1.2/24'], c: ['10.77.1.3/24'] },
  });
  const dir = tempDir();
  const hosts = path.join(dir, 'hosts');
  writeFileSync(hosts, '10.77.1.1 broker.test\n');
  const at = (host: string): { cwd: string; env: Record<string, string> } => {
    const cwd = path.join(dir, host);
    mkdirSync(cwd, { recursive: true });
    return { cwd, env: cleanEnv(cwd, { BPBROKER_INTERFACES: '' }) };
  };
  const resolver = path.join(dir, 'resolv.conf');
  writeFileSync(resolver, '');
  const mounted = (command: readonly string[]): string[] => [
    'unshare',
    '-m',
    'sh',
    '-c',
    'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"',
    hosts,
    resolver,
    ...command,
  ];
  const command = (args: readonly string[]): string[] => mounted([...launcher.bpclient, ...args]);
  return {
    net,
    dir,
    hosts,
    async broker(host, folder = 'broker') {
      const home = path.join(dir, folder);
      mkdirSync(home, { recursive: true });
      const config = path.join(home, 'bpbroker.json');
      const running = follow(net.spawn(host, [...reference.bpbroker, 'start', '--config', config], at(host)));
      await waitFor('the ready line', () => parseReady(running.stderr()));
      return running;
    },
    program: (...words) => follow(net.spawn('c', mounted(words), at('c'))),
    start: (...args) => follow(net.spawn('c', command(args), at('c'))),
    run: (...args) => net.run('c', command(args), at('c')),
  };
}

const service = (command: string, name: string, ...more: string[]): string[] => [
  'service',
  command,
  '--name',
  name,
  ...more,
];

async function succeeds(result: Promise<RunResult>, stdout: string): Promise<string> {
  const { code, stdout: printed, stderr } = await result;
  assert.deepEqual([code, printed], [0, stdout], stderr);
  return stderr;
}

for (const launcher of launchers) {
  const skip = skipOf(launcher) || (netnsProblem() ?? false);
  describe(`a client whose broker moves, on ${launcher.name}`, { skip, concurrency: 2 }, () => {
    it('waits on, finds it at its new address by name, and says so', async () => {
      const { net, broker, start, run } = await hostsFor(launcher);
      const first = await broker('old');
      await succeeds(run('-b', '10.77.1.1', ...service('register', 'foo', '--data', 'x')), 'x\n');
      const watch = start(...service('watch', 'foo', '--verbose'));
      const list = start('service', 'list', '--wait-count', '3', '--cols', 'name', '--verbose');
      const quiet = start('service', 'list', '--wait-count', '3', '--cols', 'name', '--quiet');
      for (const one of [watch, list])
        await waitFor('it to talk', () => one.stderr().includes('Talking to the broker at 10.77.1.1'));
      await succeeds(run(...service('replace', 'foo', '--data', 'y')), 'y\n');
      await untilLines(watch, 1);
      await first.stop('SIGTERM');
      for (const one of [watch, list])
        await waitFor('it to say so', () =>
          /The broker at 10\.77\.1\.1:20443 is out of reach \(.+\); looking for it again\n/.test(
            one.stderr(),
          ),
        );
      await broker('new');
      await succeeds(run(...service('replace', 'foo', '--data', 'z')), 'z\n');
      const [, moved] = await untilLines(watch, 2);
      assert.match(moved ?? '', /"data": "z"|"_str": "z"/);
      for (const one of [watch, list])
        await waitFor('it to say that it is back', () =>
          one.stderr().includes('The broker is in reach again, at 10.77.1.2:20443\n'),
        );
      for (const name of ['bar', 'baz'])
        await succeeds(run(...service('register', name, '--data', '1')), '1\n');
      for (const one of [list, quiet]) {
        assert.equal(await one.ended, 0, one.stderr());
        assert.equal(one.stdout(), 'bar\nbaz\nfoo\n');
      }
      assert.doesNotMatch(quiet.stderr(), /reach/);
      await net.close();
    });

    it('waits on while the only interface that it may use is gone, and finds it when that is back', async () => {
      const { net, broker, start, run } = await hostsFor(launcher);
      const first = await broker('old');
      await succeeds(run('-b', '10.77.1.1', ...service('register', 'foo', '--data', 'x')), 'x\n');
      const only = ['--interface', 'eth0', '--verbose'];
      const list = start('service', 'list', '--wait-count', '2', '--cols', 'name', ...only);
      const watch = start(...service('watch', 'foo', '--count', '2', ...only));
      const waiting = [list, watch];
      for (const one of waiting)
        await waitFor('it to talk', () => one.stderr().includes('Talking to the broker'));
      await succeeds(run(...service('replace', 'foo', '--data', 'y')), 'y\n');
      await untilLines(watch, 1);
      await first.stop('SIGTERM');
      for (const one of waiting)
        await waitFor('it to say so', () => one.stderr().includes('is out of reach ('));
      net.ip('c', 'link', 'set', 'eth0', 'down');
      net.ip('c', 'link', 'set', 'eth0', 'name', 'gone');
      // Each looks again at least every 2.5 s.
      const ended = await Promise.race([...waiting.map((one) => one.ended), sleep(5000, 'none')]);
      assert.equal(ended, 'none', waiting.map((one) => one.stderr()).join('\n'));
      const { code, stderr } = await run(...service('get', 'foo', '--interface', 'eth0', '--wait'));
      assert.equal(code, 2, stderr);
      net.ip('c', 'link', 'set', 'gone', 'name', 'eth0');
      net.ip('c', 'link', 'set', 'eth0', 'up');
      await broker('new');
      for (const one of waiting)
        await waitFor('it to be back', () => one.stderr().includes('in reach again, at 10.77.1.2:20443'));
      await succeeds(run(...service('replace', 'foo', '--data', 'z')), 'z\n');
      await succeeds(run(...service('register', 'bar', '--data', '1')), '1\n');
      for (const one of waiting) assert.equal(await one.ended, 0, one.stderr());
      await net.close();
    });

    it('looks a host name up at each attempt', async () => {
      const { net, broker, start, run, hosts } = await hostsFor(launcher);
      const first = await broker('old');
      const at = ['-b', 'broker.test'];
      await succeeds(run(...at, ...service('register', 'foo', '--data', 'x')), 'x\n');
      const get = start(...at, ...service('get', 'late', '--wait', '--timeout', '60s', '--verbose'));
      await waitFor('it to talk', () => get.stderr().includes('Talking to the broker'));
      await first.stop('SIGTERM');
      await waitFor('it to say so', () => get.stderr().includes('is out of reach ('));
      await broker('new');
      writeFileSync(hosts, '10.77.1.2 broker.test\n');
      // Sooner than a cache of half a minute would let it.
      await waitFor('it to be back', () => get.stderr().includes('in reach again'), 20_000);
      await succeeds(run('-b', 'broker.test', ...service('register', 'late', '--data', 'here')), 'here\n');
      assert.equal(await get.ended, 0, get.stderr());
      assert.equal(get.stdout(), 'here\n');
      await net.close();
    });

    it('keeps to --timeout while the name server is silent', async () => {
      const { net, dir, program, start } = await hostsFor(launcher);
      const bind = "require('node:dgram').createSocket('udp4').bind(53, () => console.log('bound'))";
      const silent = follow(net.spawn('new', [process.execPath, '-e', bind]));
      await untilLines(silent, 1);
      writeFileSync(path.join(dir, 'resolv.conf'), 'nameserver 10.77.1.2\noptions timeout:15 attempts:1\n');
      // The measure of how long the system itself waits.
      const lookUp = program('getent', 'ahosts', 'silent.test');
      const at = ['-b', 'silent.test', '--timeout', '1s'];
      const pinned = ['--fingerprint', `sha256:${'0'.repeat(64)}`];
      const expected: [number, Running][] = [
        [6, start(...at, 'ping')],
        [6, start(...at, ...pinned, 'ping')],
        [9, start(...at, 'ping', '--wait')],
      ];
      const isNode = launcher.name.startsWith('node');
      for (const [code, client] of expected) {
        await waitFor('its message', () => /^Fatal error: .*silent\.test.*\n$/.test(client.stderr()));
        // Node itself ends only after its lookups.
        if (!isNode) assert.equal(await client.ended, code, client.stderr());
      }
      assert.equal(lookUp.child.exitCode, null, 'the system waits on');
      for (const [code, client] of expected) assert.equal(await client.ended, code, client.stderr());
      await net.close();
    });

    it('holds to its identity: another broker that holds the name is exit 8', async () => {
      const { net, dir, broker, start, run } = await hostsFor(launcher);
      const first = await broker('old');
      await succeeds(run('-b', '10.77.1.1', ...service('register', 'foo', '--data', 'x')), 'x\n');
      const watch = start(...service('watch', 'foo', '--verbose'));
      await waitFor('it to talk', () => watch.stderr().includes('Talking to the broker'));
      await succeeds(run(...service('replace', 'foo', '--data', 'y')), 'y\n');
      await untilLines(watch, 1);
      await first.stop('SIGTERM');
      mkdirSync(path.join(dir, 'another'));
      writeFileSync(
        path.join(dir, 'another', 'bpbroker.json'),
        JSON.stringify({ services: { foo: { _str: 'other' } } }),
      );
      await broker('new', 'another');
      assert.equal(await watch.ended, 8, watch.stderr());
      assert.match(watch.stderr(), /\nFatal error: The broker at 10\.77\.1\.2:20443.* expected sha256:/);
      assert.equal(watch.lines().length, 1);
      await net.close();
    });

    it('row "another broker for a name": gets no key where the name is known', async () => {
      const { net, dir, broker, run } = await hostsFor(launcher);
      const first = await broker('old');
      const key = ['--access-key', 'canary-5e1d'];
      await net.run(
        'old',
        [...reference.bpclient, '-b', '127.0.0.1', ...service('register', "it's 1", '--data', 'x')],
        {
          cwd: dir,
          env: cleanEnv(path.join(dir, 'old')),
        },
      );
      assert.match(await succeeds(run(...service('get', "it's 1"), ...key), 'x\n'), /^First contact with /);
      assert.equal(await succeeds(run(...service('get', "it's 1"), ...key), 'x\n'), '');
      await first.stop('SIGTERM');
      mkdirSync(path.join(dir, 'rogue'));
      writeFileSync(
        path.join(dir, 'rogue', 'bpbroker.json'),
        JSON.stringify({ services: { "it's 1": { _str: 'other' } } }),
      );
      const rogue = await broker('new', 'rogue');
      let advice = '';
      for (const args of [
        service('get', "it's 1"),
        service('replace', "it's 1", '--data', 'z'),
        service('get', "it's 1", '--wait', '--timeout', '10s'),
        service('watch', "it's 1", '--timeout', '10s'),
      ]) {
        const { code, stdout, stderr } = await run(...args, ...key);
        assert.deepEqual([code, stdout], [8, ''], `${args.join(' ')}: ${stderr}`);
        assert.doesNotMatch(stderr, /First contact/);
        [, advice = ''] = /accept it with: bpclient (trust .*)\n$/.exec(stderr) ?? [];
        assert.notEqual(advice, '', stderr);
      }
      const found = await run('discover', '--name', "it's 1");
      assert.deepEqual([found.code, found.stdout], [8, ''], found.stderr);
      // A name that was not met before is another matter.
      await rogue.stop('SIGTERM');

      // The broker itself may move: nothing asks for trust again.
      cpSync(path.join(dir, 'broker'), path.join(dir, 'moved'), { recursive: true });
      const moved = await broker('new', 'moved');
      assert.equal(await succeeds(run(...service('get', "it's 1"), ...key), 'x\n'), '');
      await moved.stop('SIGTERM');

      // The command that the message advises is the way to accept it.
      await broker('new', 'rogue');
      const shell = `${launcher.bpclient.map((word) => `'${word}'`).join(' ')} ${advice}`;
      const home = path.join(dir, 'c');
      const accepted = await net.run('c', ['sh', '-c', shell], { cwd: home, env: cleanEnv(home) });
      assert.equal(accepted.code, 0, accepted.stderr);
      assert.match(accepted.stdout, /^10\.77\.1\.2:20443 sha256:.*\nname=it's%201 sha256:/);
      assert.equal(await succeeds(run(...service('get', "it's 1"), ...key), 'other\n'), '');
      await net.close();
    });
  });
}
