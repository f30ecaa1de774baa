import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { homeAt } from '../../src/config/paths.ts';
import { installService, uninstallService } from '../../src/os-service/install.ts';
import { launchdPlist } from '../../src/os-service/macos/launchd.ts';
import { recordOf } from '../../src/os-service/record.ts';
import { run } from '../support/programs/run.ts';
import { type MemorySystem, memorySystem } from './memory-system.ts';

const plist = '/Library/LaunchDaemons/bpbroker.plist';
const odd = `/opt/it's <"&>--own 'tree' ü %h $HOME`;

/** A macOS on which the commands of launchd do what they say. */
function macos(env: Record<string, string> = {}): MemorySystem {
  let loaded = false;
  return memorySystem({
    platform: 'darwin',
    env,
    answer([program, verb]) {
      if (program !== 'launchctl') return { code: 127 };
      if (verb === 'print') return { question: true, code: loaded ? 0 : 113 };
      if (verb === 'bootstrap' && loaded) return { code: 37 };
      if (verb === 'bootstrap') loaded = true;
      if (verb === 'bootout') loaded = false;
      return undefined;
    },
  });
}

const options = {
  own: { file: '/Users/ann/bpbroker', args: [], version: '1.0.0' },
  firewall: false,
  port: async () => 20_443,
  dryRun: false,
  tell: () => undefined,
};

const python = await run(['python3', '--version']).then(
  () => false,
  () => "needs the program 'python3'",
);

describe('launchd', () => {
  it('the property list says it all, whatever is in the names', { skip: python }, async () => {
    const text = launchdPlist({
      program: [`${odd}/node`, `${odd}/bpbroker.js`],
      home: homeAt(odd),
      config: `${odd}/a.json`,
      port: 1,
      version: '1.0.0',
      firewall: false,
    });
    const read = 'import json,plistlib,sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))';
    const { code, stdout, stderr } = await run(['python3', '-c', read], { input: text });
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), {
      Label: 'bpbroker',
      ProgramArguments: [`${odd}/node`, `${odd}/bpbroker.js`, 'start', '--config', `${odd}/a.json`],
      EnvironmentVariables: { BPBROKER_HOME: odd },
      RunAtLoad: true,
      KeepAlive: true,
      ThrottleInterval: 2,
      Umask: 0o077,
      ExitTimeOut: 30,
      ProcessType: 'Interactive',
      WorkingDirectory: '/',
      StandardErrorPath: '/Library/Logs/bpbroker.log',
    });
    assert.deepEqual(recordOf(text), { root: odd, config: `${odd}/a.json`, version: '1.0.0' });
  });

  it('installs a copy of an executable in a home, loads it, and does nothing the second time', async () => {
    const system = macos();
    system.files.set('/Users/ann/bpbroker', 'version 1');
    const first = await installService(system, options);
    assert.deepEqual([first.changed, first.manager.name], [true, 'launchd']);
    assert.equal(system.files.get('/usr/local/bpbroker/bin/bpbroker-service'), 'version 1');
    assert.deepEqual(system.commands.splice(0), [
      ['launchctl', 'enable', 'system/bpbroker'],
      ['launchctl', 'bootstrap', 'system', plist],
    ]);
    assert.equal((await installService(system, options)).changed, false);
    assert.deepEqual(system.commands, []);
  });

  it('takes a changed service out before it loads it anew', async () => {
    const system = macos();
    system.files.set('/Users/ann/bpbroker', 'version 1');
    await installService(system, options);
    system.commands.splice(0);
    system.files.set('/Users/ann/bpbroker', 'version 2');
    await installService(system, options);
    assert.deepEqual(
      system.commands.map(([, verb]) => verb),
      ['bootout', 'enable', 'bootstrap'],
    );
  });

  it('starts a newer program anew that was put in the place of the old one', async () => {
    const system = macos();
    const own = { file: '/usr/local/bin/bpbroker', args: [], version: '1.0.0' };
    for (const dir of ['/usr', '/usr/local', '/usr/local/bin']) system.folders.add(dir);
    system.files.set(own.file, 'version 1');
    await installService(system, { ...options, own });
    assert.equal((await installService(system, { ...options, own })).changed, false);
    system.commands.splice(0);
    await installService(system, { ...options, own: { ...own, version: '1.0.1' } });
    assert.deepEqual(
      system.commands.map(([, verb]) => verb),
      ['bootout', 'enable', 'bootstrap'],
    );
  });

  it('runs a copy of a file that is the client by its name, even from a place that is fit', async () => {
    const system = macos();
    const file = '/usr/local/bin/bpclient';
    const own = {
      file,
      args: [],
      version: '1.0.0',
      misnamed: `${file} runs as the client, because of its name`,
    };
    for (const dir of ['/usr', '/usr/local', '/usr/local/bin']) system.folders.add(dir);
    system.files.set(file, 'version 1');
    await installService(system, { ...options, own });
    const copy = '/usr/local/bpbroker/bin/bpbroker-service';
    assert.equal(system.files.get(copy), 'version 1');
    assert.match(
      system.files.get(plist) ?? '',
      new RegExp(`<string>${copy}</string>\\s*<string>start</string>`),
    );
  });

  it('the copy goes with the service, also when it was itself that installed, and when it is no longer run', async () => {
    const copy = '/usr/local/bpbroker/bin/bpbroker-service';
    const system = macos();
    system.files.set('/Users/ann/bpbroker', 'version 1');
    for (const dir of ['/usr', '/usr/local', '/usr/local/bin', '/usr/local/bpbroker'])
      system.folders.add(dir);
    const installFrom = (file: string): Promise<{ changed: boolean }> =>
      installService(system, { ...options, own: { file, args: [], version: '1.0.0' } });
    await installFrom('/Users/ann/bpbroker');
    assert.equal((await installFrom(copy)).changed, false);
    system.files.set('/usr/local/bin/bpbroker', 'version 1');
    await installFrom('/usr/local/bin/bpbroker');
    assert.ok(!system.files.has(copy) && !system.folders.has('/usr/local/bpbroker/bin'));
    assert.equal((await installFrom('/usr/local/bin/bpbroker')).changed, false);
    await installFrom('/Users/ann/bpbroker');
    await installFrom(copy);
    await uninstallService(system, { dryRun: false, tell: () => undefined });
    assert.ok(!system.files.has(copy));
  });

  it('uninstall takes it out and removes definition and copy', async () => {
    const system = macos({ BPBROKER_HOME: '/opt/bp' });
    system.files.set('/Users/ann/bpbroker', 'version 1');
    await installService(system, options);
    system.commands.splice(0);
    const removal = await uninstallService(system, { dryRun: false, tell: () => undefined });
    assert.equal(removal?.record.root, '/opt/bp');
    assert.deepEqual(system.commands, [['launchctl', 'bootout', 'system/bpbroker']]);
    assert.deepEqual([...system.files.keys()], ['/Users/ann/bpbroker']);
    assert.equal(await uninstallService(system, { dryRun: false, tell: () => undefined }), undefined);
  });

  it('uninstall takes the file of its service, and refuses another', async () => {
    const others = { dryRun: false, tell: () => undefined };
    for (const [config, file = '/opt/bp/etc/bpbroker.json'] of [['/opt/own/b.json', '/opt/own/b.json'], []]) {
      const system = macos({ BPBROKER_HOME: '/opt/bp' });
      system.files.set('/Users/ann/bpbroker', 'version 1');
      await installService(system, { ...options, ...(config !== undefined && { config }) });
      for (const dryRun of [true, false])
        await assert.rejects(uninstallService(system, { ...others, dryRun, config: '/opt/x.json' }), {
          code: 'usage',
          message: `The service bpbroker has the file ${file}, and --config names /opt/x.json; name that of the service, or leave it out`,
        });
      assert.ok(system.files.has(plist));
      assert.equal((await uninstallService(system, { ...others, config: file }))?.changed, true);
      assert.equal(await uninstallService(system, { ...others, config: '/opt/x.json' }), undefined);
    }
  });

  it('files are where links of root at the root of the system lead, such as /etc', async () => {
    const system = macos({ BPBROKER_HOME: '/var/bp' });
    for (const name of ['/etc', '/var']) system.links.set(name, `private${name}`);
    for (const dir of ['/private', '/private/etc', '/private/var']) system.folders.add(dir);
    system.files.set('/Users/ann/bpbroker', 'version 1');
    const config = '/etc/bpbroker/broker.json';
    assert.equal((await installService(system, { ...options, config })).changed, true);
    const record = recordOf(system.files.get(plist) ?? '');
    assert.deepEqual([record?.root, record?.config], ['/private/var/bp', `/private${config}`]);
    assert.equal((await installService(system, { ...options, config })).changed, false);
    for (const place of ['/opt/link/bp/broker.json', '/var/run/bp/broker.json']) {
      system.links.set('/opt/link', '/etc');
      await assert.rejects(
        installService(system, { ...options, config: place }),
        /\/opt\/link is a link|\/private\/var\/run is emptied at every boot/,
      );
    }
  });

  it('--user and --firewall are refused rather than ignored', async () => {
    await assert.rejects(installService(macos(), { ...options, user: 'ann' }), /--user is for Linux/);
    await assert.rejects(
      installService(macos(), { ...options, firewall: true }),
      /--firewall is for Windows/,
    );
  });
});
