import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { netnsProblem } from '../../support/network/netns.ts';
import { parseReady } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import { diagnose, hostsOf } from './doctor-support.ts';
import { reference } from '../support.ts';

const lan = { a: ['10.77.1.1/24'], b: ['10.77.1.2/24'], c: ['10.77.1.3/24'] };
const name = (text: string): string[] => ['--name', text];
const onHost = ['-b', '127.0.0.1'];
const register = (entry: string, data: string): string[] => [
  ...onHost,
  'service',
  'register',
  '--name',
  entry,
  '--data',
  data,
];
const ping = ['-b', '10.77.1.1', 'ping', '--data', 'x'];
const noNft = lacking('nft');

describe('doctor, on hosts of a network,', { skip: netnsProblem() ?? false, concurrency: 3 }, () => {
  it('says that no broker answers, and how to start one; then that all is well', async () => {
    const { net, on, prints, starts, doctor, does } = await hostsOf({ hosts: lan });
    const none = await doctor('b', name('foo'), 'no_broker', 6);
    assert.match(none.json.message ?? '', /holds 'foo' in 10\.77\.1\.0\/24/);
    assert.equal(none.check('discovery').status, 'fail');
    const queries = none.check('discovery').facts?.['queries'] as { to: string; interface: string }[];
    assert.ok(queries.some(({ to, interface: by }) => to === '10.77.1.255:20443' && by === 'eth0'));
    assert.equal(none.check('identity').status, 'skip');
    assert.deepEqual([none.json.advice?.where, none.json.advice?.command], ['broker', 'bpbroker start']);
    await starts('a', [...reference.bpbroker, 'start']);
    await prints('a', ...register('foo', 'x'));
    const first = await doctor('b', name('foo'), null, 0);
    for (const id of ['discovery', 'tcp', 'brokers', 'name', 'health', 'clock'])
      assert.equal(first.check(id).status, 'ok', `${id}: ${first.text}`);
    const answers = first.check('discovery').facts?.['answers'] as { from: string; at_ms: number }[];
    assert.equal(answers[0]?.from, '10.77.1.1:20443');
    assert.equal(first.check('identity').status, 'warn');
    await does('b', first);
    const met = await doctor('b', name('foo'), null, 0);
    assert.equal(met.check('identity').status, 'ok');
    assert.equal(met.json.advice, null);
    // Where a broker is named, it does not matter that the one of this host cannot start.
    const unusable = path.join(tempDir(), 'own.json');
    writeFileSync(unusable, '{');
    const other = await doctor('b', [...name('foo'), '-b', '10.77.1.1', '--config', unusable], null, 0);
    assert.equal(other.check('host_config').status, 'warn');
    const itself = ['-b', '10.77.1.2', '--config', unusable];
    await diagnose(on('b'), reference.bpbroker, itself, { cause: 'config_unusable', code: 1 });
    await net.close();
  });

  it("says on the broker's own host that its broker does not run, and how to start it", async () => {
    const { net, on, starts, doctor } = await hostsOf({ hosts: lan });
    const first = await starts('a', [...reference.bpbroker, 'start']);
    await first.stop('SIGTERM');
    const { json } = await doctor('a', name('foo'), 'no_broker', 6);
    const [program, ...args] = json.advice?.command?.split(' ') ?? [];
    assert.deepEqual([program, json.advice?.where], ['bpbroker', 'here']);
    await starts('a', [...reference.bpbroker, ...args]);
    const running = await diagnose(on('a'), reference.bpbroker, [], { cause: null, code: 0 });
    assert.equal(running.check('host_running').status, 'ok');
    await net.close();
  });

  it('says that the name is wrong, and which one may have been meant', async () => {
    const { net, broker, prints, doctor, does } = await hostsOf({ hosts: lan });
    await broker('a');
    await prints('a', ...register('shop-cluster1', 'of the shop'));
    const near = await doctor('b', name('shop-cluster'), 'wrong_name', 3);
    assert.match(near.json.message ?? '', /no entry 'shop-cluster'; it has 'shop-cluster1'/);
    assert.equal(await does('b', near), 'of the shop');
    const far = await doctor('b', name('quite another'), 'wrong_name', 3);
    assert.match(await does('b', far), /^shop-cluster1\tof the shop$/);
    const named = await doctor('b', ['-b', '10.77.1.1', ...name('shop-cluster')], 'wrong_name', 3);
    assert.equal(await does('b', named), 'of the shop');
    await net.close();
  });

  it('says that the broker is in another subnet', async () => {
    const { net, broker, prints, doctor, does } = await hostsOf({
      hosts: { a: ['10.77.1.1/24'], r: ['10.77.1.254/24', '10.77.2.254/24'], c: ['10.77.2.1/24'] },
      routes: { a: ['default via 10.77.1.254'], c: ['default via 10.77.2.254'] },
      routers: ['r'],
    });
    await broker('a');
    await prints('a', ...register('foo', 'x'));
    // A client that has never met it has nothing to go by.
    const unmet = await doctor('c', name('foo'), 'no_broker', 6);
    assert.match(unmet.json.advice?.text ?? '', /bpclient doctor --target ADDRESS/);
    await prints('c', ...ping);
    const far = await doctor('c', name('foo'), 'other_subnet', 6);
    assert.match(far.json.message ?? '', /at 10\.77\.1\.1, .* subnets \(10\.77\.2\.0\/24\)/);
    assert.equal(await does('c', far), '10.77.1.1');
    await doctor('c', [...name('foo'), '--target', '10.77.1.1'], null, 0);
    await net.close();
  });

  it('says that the queries went to another port than that of the broker', async () => {
    const { net, broker, prints, doctor, does } = await hostsOf({ hosts: lan });
    await broker('a');
    await prints('a', ...register('foo', 'x'));
    const wrong = [...name('foo'), '--port', '20444'];
    // A client that has never met the broker learns which port was asked, and to try the usual one.
    const unmet = await doctor('b', wrong, 'no_broker', 6);
    assert.match(unmet.json.message ?? '', /^Nobody answered .* in 10\.77\.1\.0\/24 on UDP port 20444/);
    assert.match(unmet.json.advice?.text ?? '', /^Leave --port out.* 20443/);
    assert.equal(unmet.json.advice?.command, 'bpclient doctor --name foo');
    assert.match(await does('b', unmet), /10\.77\.1\.1/);
    await prints('b', ...ping);
    const met = await doctor('b', wrong, 'no_broker', 6);
    assert.match(met.json.message ?? '', /^The queries went to UDP port 20444; a broker answers on 20443/);
    assert.equal(met.json.advice?.command, 'bpclient doctor --name foo');
    await does('b', met);
    // The broker has another port than the usual one.
    await broker('c', '--listen-port', '20445');
    await prints('c', '-b', '127.0.0.1:20445', ...register('bar', 'x').slice(2));
    await prints('b', '-b', '10.77.1.3:20445', 'ping', '--data', 'x');
    // Of two that this user has met, it is the one that has the entry.
    const other = await doctor('b', [...name('bar'), '--port', '20446'], 'no_broker', 6);
    assert.equal(other.json.advice?.command, 'bpclient doctor --name bar --port 20445');
    await does('b', other);
    await net.close();
  });

  it('says how to ask a broker of another subnet, whatever port was asked', async () => {
    const { net, broker, prints, doctor, does } = await hostsOf({
      hosts: { a: ['10.77.1.1/24'], r: ['10.77.1.254/24', '10.77.2.254/24'], c: ['10.77.2.1/24'] },
      routes: { a: ['default via 10.77.1.254'], c: ['default via 10.77.2.254'] },
      routers: ['r'],
    });
    await broker('a');
    await prints('a', ...register('foo', 'x'));
    await prints('c', ...ping);
    const far = await doctor('c', [...name('foo'), '--port', '20444'], 'other_subnet', 6);
    assert.equal(await does('c', far), '10.77.1.1');
    await net.close();
  });

  it('says that UDP is blocked, on the client and at the broker', { skip: noNft }, async () => {
    const { net, on, broker, prints, doctor, does, firewall } = await hostsOf({ hosts: lan });
    await broker('a');
    await prints('a', ...register('foo', 'x'));
    await prints('b', ...ping);
    // The broker still hears itself: else it would become unwell after some seconds, which is another cause.
    const rules = 'iif lo accept; udp dport 20443 drop;';
    await firewall('a', `table inet f { chain i { type filter hook input priority 0; ${rules} }; }`);
    const blocked = await doctor('b', name('foo'), 'udp_blocked', 6);
    assert.match(blocked.json.message ?? '', /10\.77\.1\.1 accepts connections on TCP.*UDP port 20443/);
    assert.equal(blocked.json.advice?.where, 'broker');
    await does('b', blocked);
    // A named broker needs no UDP.
    const named = await doctor('b', [...name('foo'), '-b', '10.77.1.1'], null, 0);
    assert.equal(named.check('discovery').status, 'warn');
    const there = await diagnose(on('a'), reference.bpbroker, [], { cause: 'udp_blocked', code: 6 });
    assert.equal(there.json.advice?.where, 'here');
    assert.match(there.json.message ?? '', /nftables inet f i: udp dport 20443 drop/);
    await does('a', there);
    await doctor('b', name('foo'), null, 0);

    // A firewall that lets in what was asked for does not know the answer to a broadcast for that.
    await firewall(
      'c',
      'table inet f { chain i { type filter hook input priority 0; policy drop; ct state established,related accept; }; }',
    );
    const own = await doctor('c', name('foo'), 'udp_blocked', 6);
    assert.equal(own.json.advice?.where, 'here');
    await does('c', own);
    await doctor('c', name('foo'), null, 0);
    await net.close();
  });

  it("does not fail for this host's own firewall where a broker is named", { skip: noNft }, async () => {
    const { net, on, broker, prints, firewall } = await hostsOf({ hosts: lan });
    await broker('a');
    await prints('a', ...register('foo', 'x'));
    const rules = 'policy drop; iif lo accept; ct state established,related accept;';
    await firewall('a', `table inet f { chain i { type filter hook input priority 0; ${rules} }; }`);
    await diagnose(on('a'), reference.bpbroker, [], { cause: 'udp_blocked', code: 6 });
    await diagnose(on('a'), reference.bpbroker, onHost, { cause: null, code: 0 });
    await net.close();
  });

  for (const verdict of ['drop', 'reject with tcp reset']) {
    it(`says that TCP is blocked (${verdict})`, { skip: noNft }, async () => {
      const { net, on, broker, prints, doctor, does, firewall } = await hostsOf({ hosts: lan });
      await broker('a');
      await prints('a', ...register('foo', 'x'));
      await firewall(
        'a',
        `table inet f { chain i { type filter hook input priority 0; tcp dport 20443 ${verdict}; }; }`,
      );
      for (const args of [name('foo'), ['-b', '10.77.1.1']]) {
        const blocked = await doctor('b', args, 'tcp_blocked', 6);
        assert.match(blocked.json.message ?? '', /10\.77\.1\.1 answers on UDP.*TCP port 20443/);
        assert.equal(blocked.json.advice?.where, 'broker');
      }
      const there = await diagnose(on('a'), reference.bpbroker, [], { cause: 'tcp_blocked', code: 6 });
      await does('a', there);
      await doctor('b', name('foo'), null, 0);
      await net.close();
    });
  }

  it('says that two brokers hold the name', async () => {
    const { net, broker, prints, doctor, does } = await hostsOf({ hosts: lan });
    const brokers = [];
    for (const host of ['a', 'b']) {
      brokers.push(await broker(host));
      await prints(host, ...register('foo', `of ${host}`));
    }
    const two = await doctor('c', name('foo'), 'several_brokers', 7);
    for (const address of ['10.77.1.1', '10.77.1.2']) assert.ok(two.json.message?.includes(address));
    assert.match(await does('c', two), /^ok +name +'foo' exists$/m);
    // The identity chooses one of them, as it does for other commands.
    const identity = parseReady(brokers[1]?.stderr() ?? '')?.fingerprint ?? '';
    const chosen = await doctor('c', [...name('foo'), '--fingerprint', identity], null, 0);
    assert.equal(chosen.json.broker, '10.77.1.2');
    const nobody = `sha256:${'0'.repeat(64)}`;
    await doctor('c', [...name('foo'), '--fingerprint', nobody], 'identity_unknown', 8);
    await net.close();
  });

  it('says that a broker was copied', async () => {
    const { net, broker, prints, doctor } = await hostsOf({ hosts: lan });
    const dir = tempDir();
    const image = path.join(dir, 'image');
    mkdirSync(image);
    writeFileSync(path.join(image, 'bpbroker.json'), JSON.stringify({ services: { foo: { _str: 'x' } } }));
    const first = await broker('a', '--config', path.join(image, 'bpbroker.json'));
    await first.stop('SIGTERM');
    const copies = [];
    for (const host of ['a', 'b']) {
      cpSync(image, path.join(dir, host), { recursive: true });
      copies.push(await broker(host, '--config', path.join(dir, host, 'bpbroker.json')));
    }
    const copied = await doctor('c', name('foo'), 'copied_broker', 7);
    for (const address of ['10.77.1.1', '10.77.1.2']) assert.ok(copied.json.message?.includes(address));
    assert.match(copied.json.advice?.text ?? '', /^Stop all of them but one/);
    await copies[0]?.stop('SIGTERM');
    await doctor('c', name('foo'), null, 0);
    assert.equal(await prints('c', 'service', 'get', '--name', 'foo'), 'x');
    await net.close();
  });

  it('without IPv4 walks the way by link-local IPv6', async () => {
    const { net, broker, prints, doctor, does } = await hostsOf({
      hosts: { a: ['lan'], b: ['lan'] },
      ipv6: true,
    });
    await broker('a');
    await prints('a', '-b', '[::1]', ...register('foo', 'x').slice(2));
    const well = await doctor('b', name('foo'), null, 0);
    assert.match(well.check('interfaces').says, /^eth0 to IPv6 multicast/);
    assert.match(well.json.broker ?? '', /^fe80::[0-9a-f:]+%eth0$|^\[fe80::[0-9a-f:]+%eth0\]/);
    await does('b', well);
    await doctor('b', name('foo'), null, 0);
    await net.close();
  });

  it('with a discovery key: finds, proves, and says when the keys differ', async () => {
    const { net, on, broker, prints, doctor } = await hostsOf({ hosts: lan });
    const dir = tempDir();
    const [key, other] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
    const file = (called: string, text: string): string => {
      writeFileSync(path.join(dir, called), text);
      return path.join(dir, called);
    };
    await broker('a', '--config', file('keyed.json', JSON.stringify({ discover: { _access_key: key } })));
    await prints('a', ...register('foo', 'x'));
    const well = await doctor('b', [...name('foo'), '--discover-key-file', file('key', key)], null, 0);
    assert.deepEqual(
      [well.check('identity').facts?.['source'], well.check('identity').status],
      ['proved', 'ok'],
    );
    assert.ok(!well.text.includes(key));
    const wrong = ['--discover-key-file', file('other', other)];
    const refused = await doctor('b', [...wrong, '-b', '10.77.1.1'], 'discovery_key_refused', 8);
    assert.ok(!JSON.stringify(refused.json).includes(other));
    const silent = await doctor('b', [...wrong, ...name('foo')], 'discovery_key_refused', 8);
    assert.match(silent.json.message ?? '', /10\.77\.1\.1/);
    // On its own host the broker's configuration tells what is missing.
    const config = ['--config', path.join(dir, 'keyed.json')];
    const missing = { cause: 'discovery_key_missing', code: 5 };
    const here = await diagnose(on('a'), reference.bpbroker, [...name('foo'), ...config], missing);
    assert.ok(!JSON.stringify(here.json).includes(key));
    await net.close();
  });
});
