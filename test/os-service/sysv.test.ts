import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { bootDebian, type Debian, debianProblem, putInto } from '../support/machine/debian.ts';
import { waitFor } from '../support/wait.ts';
import {
  client,
  enableExtension,
  executableProblem,
  listAll,
  programs,
  writeExtension,
} from './service-support.ts';

const problem = executableProblem ?? debianProblem('sysvinit');
const stop = ['service', 'bpbroker', 'stop'];
const start = ['service', 'bpbroker', 'start'];

// One machine from its first boot to the service's removal: the tests follow one upon the other.
describe('the service on a Debian that runs SysV init', { skip: problem ?? false }, () => {
  let debian: Debian;
  let files: string[];

  const status = async (): Promise<[number | undefined, string]> => {
    const { code, stdout } = await debian.run(['service', 'bpbroker', 'status']);
    return [code, stdout.replace(/ \(pid \d+\)\n$|\n$/, '')];
  };
  const isRunning = async (): Promise<boolean> => (await status())[0] === 0;
  const pid = (): Promise<string> => debian.ok(['cat', '/var/run/bpbroker.pid']);

  before(async () => {
    debian = await bootDebian('sysvinit');
    putInto(debian, programs.bpbroker, '/root/bpbroker');
    putInto(debian, programs.bpclient, '/usr/local/bin/bpclient');
    files = listAll(debian);
  });

  it('install-service links the script into the runlevels and starts it; it answers then', async () => {
    const said = await debian.ok(['/root/bpbroker', 'install-service']);
    assert.match(said, /installed \(SysV init\), enabled at boot and started/);
    assert.equal(await client(debian, 'service', 'register', '--name', 'foo', '--data', 'bar'), 'bar');
    assert.ok(statSync(path.join(debian.root, 'etc/rc2.d/S01bpbroker')));
    assert.ok(statSync(path.join(debian.root, 'etc/rc6.d/K01bpbroker')));
    assert.equal((await debian.run(['logrotate', '--debug', '/etc/logrotate.d/bpbroker'])).code, 0);
    const again = await debian.run(['/root/bpbroker', 'install-service']);
    assert.deepEqual([again.code, /nothing to do$/m.test(again.stdout), again.stderr], [0, true, '']);
  });

  it('is a user without rights', async () => {
    const state = await debian.ok(['cat', `/proc/${await pid()}/status`]);
    assert.match(state, new RegExp(`^Uid:\\s+${await debian.ok(['id', '-u', 'bpbroker'])}\\s`, 'm'));
    for (const set of ['Prm', 'Eff', 'Bnd', 'Amb'])
      assert.match(state, new RegExp(`^Cap${set}:\\s+0+$`, 'm'));
    assert.match(state, /^NoNewPrivs:\s+1$/m);
  });

  it('has no variable of the shell that restarted it', async () => {
    const env = { BPBROKER_LISTEN_PORT: '20555', SECRET: 'x' };
    await debian.ok(['/etc/init.d/bpbroker', 'restart'], { env });
    const variables = await debian.ok(['cat', `/proc/${await pid()}/environ`]);
    assert.match(variables, /^(?:(?:PATH|PWD|BPBROKER_HOME)=[^\0]*\0)+$/);
    assert.equal(await client(debian, 'service', 'get', '--name', 'foo'), 'bar');
  });

  it('an installation whose program is elsewhere stops the broker of the earlier one', async () => {
    const earlier = await pid();
    putInto(debian, programs.bpbroker, '/usr/local/bin/bpbroker');
    const said = await debian.ok(['/usr/local/bin/bpbroker', 'install-service']);
    assert.match(said, /enabled at boot and started/);
    assert.equal((await debian.run(['test', '-d', `/proc/${earlier}`])).code, 1);
    assert.deepEqual(await status(), [0, 'bpbroker is running']);
    assert.equal(await client(debian, 'service', 'get', '--name', 'foo'), 'bar');
    await debian.ok(['/root/bpbroker', 'install-service']);
    await debian.ok(['rm', '/usr/local/bin/bpbroker']);
  });

  it('start, stop, restart and status do as the standard says, also twice and after a crash', async () => {
    assert.deepEqual(await status(), [0, 'bpbroker is running']);
    assert.match(await debian.ok(start), /is running already/);
    await debian.ok(stop);
    assert.deepEqual(await status(), [3, 'bpbroker is not running']);
    assert.equal(await debian.ok(stop), 'bpbroker is not running');
    await debian.ok(start);
    const earlier = await pid();
    await debian.ok(['service', 'bpbroker', 'restart']);
    assert.notEqual(await pid(), earlier);
    // The path is taken from where the caller is, the broker's folder is another.
    await debian.ok(['sh', '-c', 'cd /etc && init.d/bpbroker restart']);
    await debian.ok(['sh', '-c', 'kill -9 "$(cat /var/run/bpbroker.pid)"']);
    await waitFor('its end', async () => !(await isRunning()));
    assert.deepEqual(await status(), [1, 'bpbroker is dead, but its pid file exists']);
    await debian.ok(['service', 'bpbroker', 'restart']);
    assert.equal(await client(debian, 'service', 'get', '--name', 'foo'), 'bar');
  });

  it('another user than root learns that only root can tell, and stops nothing', async () => {
    const nobody = ['setpriv', '--reuid=65534', '--clear-groups', 'service', 'bpbroker'];
    for (const word of ['status', 'stop', 'restart', 'reload', 'start']) {
      const { code, stdout, stderr } = await debian.run([...nobody, word]);
      assert.deepEqual([code, stdout, /only root can tell/.test(stderr)], [4, '', true], word);
    }
    assert.deepEqual(await status(), [0, 'bpbroker is running']);
  });

  it('reload has it take over its options anew, in the same process', async () => {
    const earlier = await pid();
    await debian.ok(['service', 'bpbroker', 'reload']);
    await waitFor('the reload', async () =>
      (await debian.ok(['cat', '/var/log/bpbroker.log'])).includes('the options were taken over anew'),
    );
    assert.equal(await pid(), earlier);
  });

  it('a start that fails says why', async () => {
    await debian.ok(stop);
    const file = '/usr/local/bpbroker/etc/bpbroker.json';
    await debian.ok(['cp', file, '/root/kept.json']);
    await debian.ok(['sh', '-c', `echo '{' > ${file}`]);
    const { code, stderr } = await debian.run(start);
    assert.deepEqual([code, /^Fatal error: .*malformed JSON/m.test(stderr)], [1, true], stderr);
    await debian.ok(['mv', '/root/kept.json', file]);
    await debian.ok(start);
  });

  it('extensions in TypeScript work', async () => {
    const source = 'export const Say = (): object => ({ uid: process.getuid?.() });';
    const key = await enableExtension(debian, writeExtension(debian, 'hello.ts', source, 0o600), stop, start);
    const said = await client(debian, '--access-key', key, 'execute', '--method', 'hello.Say');
    assert.deepEqual(JSON.parse(said), { uid: Number(await debian.ok(['id', '-u', 'bpbroker'])) });
  });

  it('starts at the next boot with its data', async () => {
    await debian.reboot();
    const stored = (): Promise<string> => client(debian, 'service', 'get', '--name', 'foo');
    assert.equal(await waitFor('an answer', stored, 30_000), 'bar');
  });

  it('a low port needs no root, and names are taken whatever is in them', async () => {
    await debian.ok(['/root/bpbroker', 'uninstall-service']);
    const config = `/srv/its own/50% $USER 'q'.json`;
    await debian.ok(['mkdir', '-p', '/srv/its own']);
    await debian.ok(['sh', '-c', `echo '{"api": {"listen_port": 443}}' > "$1"`, 'sh', config]);
    const env = { BPBROKER_HOME: '/srv/a tree of 100%h' };
    await debian.ok(['/root/bpbroker', 'install-service', '--config', config], { env });
    const log = readFileSync(path.join(debian.root, 'var/log/bpbroker.log'), 'utf8');
    const identity = log.match(/sha256:[0-9a-f]{64}/g)?.at(-1) ?? '';
    const pong = [
      'bpclient',
      '--bpbroker',
      '127.0.0.1:443',
      '--fingerprint',
      identity,
      'ping',
      '--data',
      'low',
    ];
    assert.equal(await debian.ok(pong), 'low');
    assert.match(await debian.ok(['cat', `/proc/${await pid()}/status`]), /^CapEff:\s+0+400$/m);
    const { stderr } = await debian.run(['/root/bpbroker', 'uninstall-service']);
    assert.match(stderr, /^Left as it is: \/srv\/its own$/m);
    await debian.ok(['rm', '-r', '/srv/its own', '/srv/a tree of 100%h']);
  });

  it('uninstall-service can be repeated where a process of its user kept the user from being removed', async () => {
    await debian.ok(['/root/bpbroker', 'install-service']);
    const user = await debian.ok(['id', '-u', 'bpbroker']);
    await debian.ok([
      'sh',
      '-c',
      `setpriv --reuid=${user} --clear-groups sleep 300 > /dev/null 2>&1 & echo $! > /tmp/sleeper`,
    ]);
    const { code, stderr } = await debian.run(['/root/bpbroker', 'uninstall-service']);
    assert.deepEqual([code, /userdel.* is currently used by process/.test(stderr)], [1, true], stderr);
    await debian.ok(['sh', '-c', 'kill "$(cat /tmp/sleeper)"']);
    assert.match(await debian.ok(['/root/bpbroker', 'uninstall-service']), /is stopped and removed/);
  });

  it('uninstall-service leaves no trace but the data', async () => {
    const left = listAll(debian).filter((file) => !files.includes(file));
    assert.deepEqual(
      left.filter((file) => !/^usr\/local\/bpbroker(?:$|\/(?:etc|lib|backups)(?:$|\/))/.test(file)),
      ['root/extensions', 'root/extensions/hello.ts'],
    );
    assert.ok(left.includes('usr/local/bpbroker/etc/bpbroker.json'));
    assert.doesNotMatch(readFileSync(path.join(debian.root, 'etc/passwd'), 'utf8'), /bpbroker/);
  });
});
