import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { root as project, tool } from '../../build/root.ts';
import { bootDebian, type Debian, debianProblem, putInto } from '../support/machine/debian.ts';
import { waitFor } from '../support/wait.ts';
import { checkReload } from './reload-support.ts';
import {
  client,
  enableExtension,
  executableProblem,
  journal,
  listAll,
  programs,
  writeExtension,
} from './service-support.ts';

const problem = executableProblem ?? debianProblem('systemd');
const unit = '/etc/systemd/system/bpbroker.service';
const data = '/usr/local/bpbroker';
const stop = ['systemctl', 'stop', 'bpbroker'];
const start = ['systemctl', 'start', 'bpbroker'];

// One machine from its first boot to the service's removal: the tests follow one upon the other.
describe('the service on a Debian that runs systemd', { skip: problem ?? false }, () => {
  let debian: Debian;
  let files: string[];

  const show = (property: string): Promise<string> =>
    debian.ok(['systemctl', 'show', '--value', '--property', property, 'bpbroker']);
  const isActive = async (): Promise<boolean> =>
    (await debian.run(['systemctl', 'is-active', '--quiet', 'bpbroker'])).code === 0;

  before(async () => {
    debian = await bootDebian('systemd', {
      '/usr/local/lib/node_modules/bpbroker/node_modules': path.join(project, 'node_modules'),
    });
    putInto(debian, programs.bpbroker, '/root/bpbroker');
    putInto(debian, programs.bpclient, '/usr/local/bin/bpclient');
    files = listAll(debian);
  });

  it('install-service --dry-run shows files and commands, and does nothing', async () => {
    const shown = await debian.ok(['/root/bpbroker', 'install-service', '--dry-run']);
    assert.match(shown, /^write \/etc\/systemd\/system\/bpbroker\.service$/m);
    assert.match(shown, /^ {4}ExecStart="\/usr\/local\/bpbroker\/bin\/bpbroker-service" "start"$/m);
    assert.match(shown, /^systemctl enable bpbroker\.service$/m);
    assert.deepEqual(listAll(debian), files);
  });

  it('install-service needs root and says so', async () => {
    putInto(debian, programs.bpbroker, '/usr/local/bin/bpbroker');
    for (const command of ['install-service', 'uninstall-service']) {
      const { code, stderr } = await debian.run([
        'setpriv',
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        '/usr/local/bin/bpbroker',
        command,
      ]);
      assert.deepEqual([code, /needs root: run it with sudo/.test(stderr)], [5, true], stderr);
    }
    await debian.ok(['rm', '/usr/local/bin/bpbroker']);
  });

  it('what is wrong with the configuration is said by the command that starts the service', async () => {
    mkdirSync(path.join(debian.root, data, 'etc'), { recursive: true });
    writeFileSync(path.join(debian.root, data, 'etc/bpbroker.json'), '{"api": {"listen_port": 20443}, }');
    const { code, stderr } = await debian.run(['/root/bpbroker', 'install-service']);
    assert.deepEqual(
      [code, /^Fatal error: .*bpbroker\.json:1:\d+: malformed JSON/m.test(stderr)],
      [1, true],
      stderr,
    );
    await debian.ok(['rm', '-r', data]);
    assert.deepEqual(listAll(debian), files);
  });

  it('install-service enables and starts it, and returns when it answers', async () => {
    const said = await debian.ok(['/root/bpbroker', 'install-service']);
    assert.match(said, /installed \(systemd\), enabled at boot and started/);
    assert.equal(await client(debian, 'ping', '--data', 'hello'), 'hello');
    assert.equal(await debian.ok(['systemctl', 'is-enabled', 'bpbroker']), 'enabled');
    assert.equal(await isActive(), true);
    assert.match(await show('StatusText'), /^answers on https:/);
    assert.equal(await client(debian, 'service', 'register', '--name', 'foo', '--data', 'bar'), 'bar');
  });

  it('a second installation changes nothing and says so', async () => {
    const state = async (): Promise<unknown> => [
      statSync(path.join(debian.root, unit)).mtimeMs,
      await show('MainPID'),
      listAll(debian).filter((file) => !/\.json\.|\/backups\//.test(file)),
    ];
    const earlier = await state();
    const { code, stdout, stderr } = await debian.run(['/root/bpbroker', 'install-service']);
    assert.deepEqual([code, /nothing to do$/m.test(stdout), stderr], [0, true, '']);
    assert.deepEqual(await state(), earlier);
  });

  it('is a user without rights, in a sandbox that systemd rates below 2', async (t) => {
    const status = await debian.ok(['cat', `/proc/${await show('MainPID')}/status`]);
    const uid = await debian.ok(['id', '-u', 'bpbroker']);
    assert.match(status, new RegExp(`^Uid:\\s+${uid}\\s`, 'm'));
    assert.match(status, /^CapEff:\s+0+$/m);
    assert.match(status, /^NoNewPrivs:\s+1$/m);
    assert.match(status, /^Seccomp:\s+2$/m);
    const rating = await debian.ok(['systemd-analyze', 'security', '--no-pager', 'bpbroker']);
    const score = Number(/exposure level for bpbroker\.service: ([\d.]+)/.exec(rating)?.[1]);
    t.diagnostic(`systemd-analyze security: ${score}`);
    assert.ok(score < 2, rating);
    assert.equal((await debian.run(['systemd-analyze', 'verify', unit])).stderr, '');
  });

  it('comes back after kill -9 with its registry', async () => {
    const pid = await show('MainPID');
    await debian.ok(['systemctl', 'kill', '--signal=KILL', '--kill-whom=main', 'bpbroker']);
    await waitFor(
      'another process',
      async () => !['0', pid].includes(await show('MainPID')) && (await isActive()),
      30_000,
    );
    assert.equal(await client(debian, 'service', 'get', '--name', 'foo'), 'bar');
  });

  it('is restarted when it no longer answers', async () => {
    const dropIn = path.join(debian.root, `${unit}.d`);
    mkdirSync(dropIn);
    // The unit's own limit is a minute, which a test need not take.
    writeFileSync(path.join(dropIn, 'soon.conf'), '[Service]\nWatchdogSec=5\n');
    await debian.ok(['systemctl', 'daemon-reload']);
    await debian.ok(['systemctl', 'restart', 'bpbroker']);
    const pid = await show('MainPID');
    await debian.ok(['systemctl', 'kill', '--signal=STOP', '--kill-whom=main', 'bpbroker']);
    await waitFor(
      'another process',
      async () => !['0', pid].includes(await show('MainPID')) && (await isActive()),
      30_000,
    );
    assert.equal(await client(debian, 'ping', '--data', 'again'), 'again');
    rmSync(dropIn, { recursive: true });
    await debian.ok(['systemctl', 'daemon-reload']);
    await debian.ok(['systemctl', 'restart', 'bpbroker']);
  });

  it('extensions in TypeScript and of other languages work in the sandbox, also after root has configured them', async () => {
    const script = writeExtension(
      debian,
      'hello.ts',
      `import { writeFileSync, readFileSync } from 'node:fs';
       import { execFileSync } from 'node:child_process';
       export function Say(request: unknown): object {
         writeFileSync('/tmp/note', 'kept');
         return { note: readFileSync('/tmp/note', 'utf8'), uid: process.getuid?.(), says: String(execFileSync('echo', ['hi'])).trim() };
       }`,
    );
    const key = await enableExtension(debian, script, stop, start);
    const uid = Number(await debian.ok(['id', '-u', 'bpbroker']));
    const said = await client(debian, '--access-key', key, 'execute', '--method', 'hello.Say');
    assert.deepEqual(JSON.parse(said), { note: 'kept', uid, says: 'hi' });
    const program = writeExtension(debian, 'shell.sh', '#!/bin/sh\necho "$1 by $(id -un)"\n', 0o700);
    const another = await enableExtension(debian, program, stop, start);
    assert.equal(
      await client(debian, '--access-key', another, 'execute', '--method', 'shell.Hello'),
      'Hello by bpbroker',
    );
  });

  it('a drop-in lets an extension write where it must, and outlives the service', async () => {
    const source = `import { writeFileSync } from 'node:fs';
       export const Write = (): string => { writeFileSync('/var/lib/other/file', 'x'); return 'written'; };`;
    await debian.ok(['install', '-d', '-o', 'bpbroker', '/var/lib/other']);
    const key = await enableExtension(debian, writeExtension(debian, 'writer.ts', source), stop, start);
    const write = ['--access-key', key, 'execute', '--method', 'writer.Write'];
    await assert.rejects(client(debian, ...write), /EROFS/);
    mkdirSync(path.join(debian.root, `${unit}.d`));
    writeFileSync(
      path.join(debian.root, `${unit}.d/override.conf`),
      '[Service]\nReadWritePaths=/var/lib/other\n',
    );
    await debian.ok(['systemctl', 'daemon-reload']);
    await debian.ok(['systemctl', 'restart', 'bpbroker']);
    assert.equal(await client(debian, ...write), 'written');
  });

  it('systemctl reload has it take over its options anew, in the same process', () => checkReload(debian));

  it('logs to the journal with levels, and with no time of its own', async () => {
    const lines = await journal(debian);
    const own = lines.find(({ MESSAGE }) => MESSAGE.startsWith('stopping signal='));
    assert.deepEqual([own?.MESSAGE, own?.PRIORITY], ['stopping signal=SIGTERM', '6']);
    const strange = lines.filter(({ MESSAGE }) => /^(?:<\d>|\d{4}-\d\d-\d\dT)|systemd-notify/.test(MESSAGE));
    assert.deepEqual(strange, []);
    const warnings = lines.filter(({ PRIORITY }) => Number(PRIORITY) <= 4).map(({ MESSAGE }) => MESSAGE);
    const picked = await debian.ok('journalctl -u bpbroker -p warning -o cat --no-pager'.split(' '));
    assert.ok(warnings.length > 0 && warnings.length < lines.length);
    assert.equal(picked, warnings.join('\n'));
  });

  it('starts at the next boot with its data', async () => {
    await debian.reboot();
    await waitFor('the service', isActive, 30_000);
    assert.equal(await client(debian, 'service', 'get', '--name', 'foo'), 'bar');
  });

  it('uninstall-service leaves no trace but the data, and says where that is', async () => {
    const { code, stderr } = await debian.run(['/root/bpbroker', 'uninstall-service']);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^Left as it is: \/usr\/local\/bpbroker\/etc$/m);
    const left = listAll(debian).filter((file) => !files.includes(file));
    assert.deepEqual(
      left.filter((file) => !/^usr\/local\/bpbroker(?:$|\/(?:etc|lib|backups)(?:$|\/))/.test(file)),
      [
        `${unit.slice(1)}.d`,
        `${unit.slice(1)}.d/override.conf`,
        'root/extensions',
        ...['hello.ts', 'shell.sh', 'writer.ts'].map((name) => `root/extensions/${name}`),
        'var/lib/other',
        'var/lib/other/file',
      ],
    );
    assert.match(stderr, /^Left as it is: \/etc\/systemd\/system\/bpbroker\.service\.d$/m);
    await debian.ok(['rm', '-r', `${unit}.d`]);
    assert.ok(left.includes('usr/local/bpbroker/etc/bpbroker.json'));
    assert.doesNotMatch(readFileSync(path.join(debian.root, 'etc/passwd'), 'utf8'), /bpbroker/);
    assert.equal(statSync(path.join(debian.root, data, 'etc/bpbroker.json')).uid, 0);
    assert.equal((await debian.run(['systemctl', 'status', 'bpbroker'])).code, 4);
    const again = await debian.run(['/root/bpbroker', 'uninstall-service']);
    assert.deepEqual([again.code, again.stdout], [0, 'No service bpbroker is installed; nothing to do\n']);
  });

  it('--config and BPBROKER_HOME are taken whatever is in their names', async () => {
    const env = { BPBROKER_HOME: '/srv/a tree of 100%h' };
    const config = String.raw`/srv/its own/50% $USER 'q' \n.json`;
    await debian.ok(['/root/bpbroker', 'install-service', '--config', config], { env });
    assert.equal(await client(debian, '--fingerprint', await fingerprint(), 'ping', '--data', 'x'), 'x');
    assert.ok(statSync(path.join(debian.root, path.dirname(config), String.raw`50% $USER 'q' \n.key`)));
    const again = await debian.run(['/root/bpbroker', 'install-service', '--config', config], { env });
    assert.match(again.stdout, /nothing to do/);
    await debian.ok(['systemctl', 'stop', 'bpbroker']);
    assert.ok(statSync(path.join(debian.root, config)));
    const { stderr } = await debian.run(['/root/bpbroker', 'uninstall-service']);
    assert.match(stderr, /^Left as it is: \/srv\/its own$/m);
  });

  it('places are refused where others could put files that root then runs or gives away', async () => {
    const install = async (args: string[], env: Record<string, string> = {}): Promise<string> => {
      const { code, stderr } = await debian.run(['/root/bpbroker', 'install-service', ...args], { env });
      assert.notEqual(code, 0, stderr);
      return stderr;
    };
    await debian.ok(['mkdir', '-p', '/srv/open']);
    await debian.ok(['chmod', '777', '/srv/open']);
    assert.match(await install(['--config', '/etc/bpbroker.json']), /\/etc holds '.*' beside bpbroker\.json/);
    assert.match(await install([], { BPBROKER_HOME: '/usr/local' }), /\/usr\/local holds '\w+' too/);
    assert.match(await install([], { BPBROKER_HOME: '/tmp/bp' }), /\/tmp can be changed by others than root/);
    assert.match(
      await install([], { BPBROKER_HOME: '/root/bp' }),
      /\/root cannot be entered by the user bpbroker/,
    );
    assert.match(await install(['--config', '/srv/open/a/b.json']), /\/srv\/open can be changed by others/);
    assert.match(await install(['--user', 'nobody-there']), /There is no user 'nobody-there' here/);
    assert.match(await install(['--firewall']), /--firewall is for Windows/);
    assert.equal((await debian.run(['cat', unit])).code, 1);
  });

  it('--user root runs extensions as root; a low port needs no root', async () => {
    await debian.ok(['/root/bpbroker', 'install-service', '--user', 'root']);
    const status = async (): Promise<string> => debian.ok(['cat', `/proc/${await show('MainPID')}/status`]);
    assert.match(await status(), /^Uid:\s+0\s/m);
    await debian.ok(stop);
    await debian.ok(['sed', '-i', 's/20443/443/', `${data}/etc/bpbroker.json`]);
    const said = await debian.ok(['/root/bpbroker', 'install-service']);
    assert.match(said, /started/);
    assert.doesNotMatch(await status(), /^Uid:\s+0\s/m);
    const pong = ['bpclient', '--quiet', '--bpbroker', '127.0.0.1:443', 'ping', '--data', 'low'];
    assert.equal(await debian.ok(pong), 'low');
    await debian.ok(['/root/bpbroker', 'uninstall-service']);
    await debian.ok(['rm', '-r', data]);
  });

  it("another's service of the name is left alone", async () => {
    writeFileSync(path.join(debian.root, unit), '[Service]\nExecStart=/bin/true\n');
    const { code, stderr } = await debian.run(['/root/bpbroker', 'install-service']);
    assert.deepEqual([code, /was not made by install-service/.test(stderr)], [4, true], stderr);
    assert.equal(readFileSync(path.join(debian.root, unit), 'utf8'), '[Service]\nExecStart=/bin/true\n');
    await debian.ok(['rm', unit]);
  });

  it('an executable in /usr/local/bin is run from there, also on a fresh machine by a strict root', async () => {
    await debian.ok(['rm', '-rf', data]);
    putInto(debian, programs.bpbroker, '/usr/local/bin/bpbroker');
    await debian.ok(['sh', '-c', 'umask 077; echo {} | bpbroker configure && bpbroker install-service']);
    assert.match(
      readFileSync(path.join(debian.root, unit), 'utf8'),
      /^ExecStart="\/usr\/local\/bin\/bpbroker" /m,
    );
    assert.equal(await client(debian, '--fingerprint', await fingerprint(), 'ping', '--data', 'x'), 'x');
    await debian.ok(['bpbroker', 'uninstall-service']);
    await debian.ok(['rm', '-r', data, '/usr/local/bin/bpbroker']);
  });

  it('the npm package is run by the Node that installed it', async () => {
    const place = '/usr/local/lib/node_modules/bpbroker';
    for (const part of readdirSync(path.join(project, 'dist/npm'))) {
      putInto(debian, path.join(project, 'dist/npm', part), `${place}/${part}`);
    }
    putInto(debian, tool('node'), '/usr/local/bin/node');
    const npmProgram = ['node', `${place}/cli/bpbroker.js`];
    await debian.ok([...npmProgram, 'install-service']);
    assert.match(
      readFileSync(path.join(debian.root, unit), 'utf8'),
      /^ExecStart="\/usr\/local\/bin\/node" .*cli\/bpbroker\.js" "start"$/m,
    );
    assert.equal(
      await client(debian, '--fingerprint', await fingerprint(), 'ping', '--data', 'node'),
      'node',
    );
    assert.match((await debian.run([...npmProgram, 'install-service'])).stdout, /nothing to do/);
    await debian.ok([...npmProgram, 'uninstall-service']);
    await debian.ok(['cp', '-r', place, '/root/bpbroker-npm']);
    const { code, stderr } = await debian.run([
      'node',
      '/root/bpbroker-npm/cli/bpbroker.js',
      'install-service',
    ]);
    assert.deepEqual(
      [code, /lies in \/root; install bpbroker for the whole machine/.test(stderr)],
      [2, true],
      stderr,
    );
  });

  async function fingerprint(): Promise<string> {
    // The service can be ready before the journal has its line, and there is that of the service before it.
    const pid = await show('MainPID');
    const ready = await waitFor('its ready line in the journal', async () =>
      (await journal(debian)).find(({ _PID, MESSAGE }) => _PID === pid && MESSAGE.startsWith('ready: ')),
    );
    return /sha256:[0-9a-f]{64}/.exec(ready.MESSAGE)?.[0] ?? '';
  }
});
