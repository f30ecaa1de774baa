import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { homeAt } from '../../src/config/paths.ts';
import {
  checkOwnFolder,
  checkOwnTree,
  givenFolders,
  prepareData,
  unreadOptions,
} from '../../src/os-service/files/data-files.ts';
import { thisSystem } from '../../src/os-service/system.ts';
import { atEnd } from '../support/cleanup.ts';
import { run } from '../support/programs/run.ts';
import { tempDir } from '../support/temp.ts';

const isRoot = process.getuid?.() === 0;
const problem = process.platform !== 'linux' ? 'is for Linux' : !isRoot && 'needs root';
const owner = { uid: 65_534, gid: 65_534 };

function modeOf(...at: string[]): number {
  return statSync(path.join(...at)).mode & 0o777;
}

/** Does it under the umask of a service, or of a strict root. */
async function withUmask<T>(use: () => Promise<T>): Promise<T> {
  const earlier = process.umask(0o077);
  try {
    return await use();
  } finally {
    process.umask(earlier);
  }
}

describe('the files of a service', { skip: problem }, () => {
  it("its user gets to the folders that were missing, whatever root's umask", async () => {
    const dir = tempDir();
    const home = homeAt(path.join(dir, 'opt/tree'));
    const config = path.join(dir, 'srv/far/own/broker.json');
    await withUmask(() => prepareData(home, config, owner));
    for (const at of ['opt', 'opt/tree', 'opt/tree/lib', 'srv', 'srv/far'])
      assert.equal(modeOf(dir, at), 0o755, at);
    assert.equal(modeOf(path.dirname(config)), 0o700);
    assert.equal(statSync(path.dirname(config)).uid, owner.uid);
    assert.equal(statSync(home.root).uid, 0);
    await withUmask(() => thisSystem().makeFolder(path.join(dir, 'usr/tree/bin'), 0o755));
    for (const at of ['usr', 'usr/tree', 'usr/tree/bin']) assert.equal(modeOf(dir, at), 0o755, at);
  });

  it('backups lie beside the file of --config, and are its too; a link is not followed there', async () => {
    const dir = tempDir();
    const home = homeAt(path.join(dir, 'tree'));
    const config = path.join(dir, 'own/broker.json');
    const backups = path.join(dir, 'own/backups');
    mkdirSync(backups, { recursive: true });
    writeFileSync(path.join(backups, 'broker-1.json'), '{}');
    writeFileSync(path.join(dir, 'secret'), '');
    symlinkSync(path.join(dir, 'secret'), path.join(backups, 'link'));
    await prepareData(home, config, owner);
    assert.deepEqual(
      [backups, path.join(backups, 'broker-1.json'), path.join(dir, 'secret')].map((at) => statSync(at).uid),
      [owner.uid, owner.uid, 0],
    );
    assert.equal(modeOf(backups), 0o700);
    assert.ok(!existsSync(home.backups));
    rmSync(backups, { recursive: true });
    mkdirSync(path.join(dir, 'other'));
    symlinkSync(path.join(dir, 'other'), backups);
    await assert.rejects(prepareData(home, config, owner), /Cannot give .*\/own\/backups to/);
    assert.equal(statSync(path.join(dir, 'other')).uid, 0);
  });

  it('an installation refuses a folder with files of others; a later start leaves such files alone', async () => {
    const dir = tempDir();
    const config = path.join(dir, 'own/broker.json');
    mkdirSync(path.dirname(config));
    for (const name of ['broker.json', '.broker.json.swp', 'discover.key'])
      writeFileSync(path.join(dir, 'own', name), '');
    await assert.rejects(
      checkOwnFolder(config),
      /holds '(?:\.broker\.json\.swp|discover\.key)' beside broker\.json/,
    );
    await prepareData(homeAt(path.join(dir, 'tree')), config, owner);
    assert.deepEqual(
      ['broker.json', '.broker.json.swp', 'discover.key'].map(
        (name) => statSync(path.join(dir, 'own', name)).uid,
      ),
      [owner.uid, 0, 0],
    );
  });

  it("an installation says that the machine's options do not apply, unless its user may read them", async () => {
    const home = homeAt(path.join(tempDir(), 'tree'));
    const config = '/srv/own/broker.json';
    const etc = path.dirname(home.configFile);
    const said = (user = 'nobody', file: string | undefined = config): Promise<string | undefined> =>
      unreadOptions(thisSystem(), home, file, user);
    assert.equal(await said(), undefined, 'there are none');
    mkdirSync(etc, { recursive: true });
    writeFileSync(home.configFile, '{"services":{"_access_key":"x"}}');
    chmodSync(etc, 0o755);
    for (const [folder, mode, user, words] of [
      [
        0o755,
        0o600,
        'nobody',
        /The options of \S+bpbroker\.json, .* its user nobody may not .* into \/srv\/own/,
      ],
      [0o700, 0o644, 'nobody', /do not apply/],
      [0o700, 0o600, 'no-such-user', /do not apply/],
      [0o755, 0o644, 'nobody', undefined],
      [0o700, 0o600, 'root', undefined],
    ] as const) {
      chmodSync(etc, folder);
      chmodSync(home.configFile, mode);
      if (words) assert.match((await said(user)) ?? '', words);
      else assert.equal(await said(user), undefined);
    }
    assert.equal(await unreadOptions(thisSystem(), home, undefined, 'nobody'), undefined);
    assert.deepEqual(
      [...givenFolders(home, config)].toSorted(),
      ['/srv/own', '/srv/own/backups', etc].toSorted(),
    );
  });

  it('a file of --config may have no ending', async () => {
    const dir = tempDir();
    const config = path.join(dir, 'own/config');
    mkdirSync(path.dirname(config));
    for (const name of ['config', 'config.journal', 'config.key'])
      writeFileSync(path.join(dir, 'own', name), '');
    await checkOwnFolder(config);
    await prepareData(homeAt(path.join(dir, 'tree')), config, owner);
    assert.equal(statSync(config).uid, owner.uid);
    writeFileSync(path.join(dir, 'own', 'configured'), '');
    await assert.rejects(checkOwnFolder(config), /holds 'configured' beside config/);
  });

  it("a lock that root held until it was killed does not lock the service's user out; one that root holds does", async () => {
    const dir = tempDir();
    chmodSync(dir, 0o755);
    const home = homeAt(path.join(dir, 'tree'));
    await prepareData(home, undefined, owner);
    const locker = (as: number, then: string): [string, string[]] => [
      process.execPath,
      ['--input-type=module', '--eval', lockerSource, home.configFile, String(as), then],
    ];
    const take = async (): Promise<string> => {
      const [program, args] = locker(owner.uid, 'release');
      return (await run([program, ...args])).stdout;
    };
    const holder = spawn(...locker(0, 'wait'), { stdio: ['ignore', 'pipe', 'inherit'] });
    atEnd(() => holder.kill('SIGKILL'));
    await once(holder.stdout, 'data');
    await prepareData(home, undefined, owner);
    assert.match(await take(), new RegExp(`Another broker \\(pid ${holder.pid}\\) is using`));
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await prepareData(home, undefined, owner);
    assert.equal(await take(), 'locked');
    assert.deepEqual(readdirSync(path.dirname(home.configFile)), []);
  });

  it('a tree must hold nothing but the folders of one, or others would be given away with it', async () => {
    const home = homeAt(path.join(tempDir(), 'tree'));
    await checkOwnTree(home);
    for (const name of ['etc', 'lib', 'backups', 'bin', 'log'])
      mkdirSync(path.join(home.root, name), { recursive: true });
    await checkOwnTree(home);
    mkdirSync(path.join(home.root, 'share'));
    await assert.rejects(checkOwnTree(home), {
      code: 'usage',
      message: `Invalid BPBROKER_HOME '${home.root}' for a service: ${home.root} holds 'share' too; the service's user has to own folders in it, so give it a folder of its own, such as /opt/bpbroker`,
    });
  });
});

/** Locks a file as a user and says so, or why not. */
const lockerSource = `
  import { acquireLock } from '${new URL('../../src/store/file/lock.ts', import.meta.url).href}';
  const [file, uid, then] = process.argv.slice(1);
  process.setgid(Number(uid));
  process.setuid(Number(uid));
  try {
    const lock = await acquireLock(file);
    process.stdout.write('locked');
    if (then === 'wait') setInterval(() => undefined, 1000);
    else await lock.release();
  } catch (error) {
    process.stdout.write(error.message);
  }`;
