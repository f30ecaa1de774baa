import assert from 'node:assert/strict';
import { chownSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readBackup } from '../../../src/store/file/backup/backup-text.ts';
import { type RunResult, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { treeOf } from '../../support/registry/tree.ts';
import { waitFor } from '../../support/wait.ts';
import {
  backUp,
  backupsIn,
  entriesAt,
  restore,
  revisionOf,
  type Stored,
  stored,
  writeSteadily,
} from './backup-support.ts';
import { bpbroker, connectTo, reference } from '../support.ts';

const isLong = process.env['BPBROKER_LONG'] === '1';

/** The entries of a broker on a file of its own that a backup was restored to. */
async function restoredFrom(backup: string): Promise<Stored[]> {
  const dir = tempDir();
  const { code, stderr } = await restore(dir, backup);
  assert.equal(code, 0, stderr);
  const broker = await startBroker(reference, { dir, args: ['--listen-port', '0'] });
  const client = await connectTo(broker);
  const { entries } = await client.list();
  client.close();
  await broker.kill();
  return entries.map(stored).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

describe('the backups of a broker', () => {
  it('under steady writes are the last three, each the state of its moment', async () => {
    const _config = { backup_freq_secs: 1, backup_retain_n: 3 };
    const broker = await startBroker(reference, { config: { _config, services: {} } });
    const backups = path.join(broker.dir, 'backups');
    const made = (): number => broker.stderr().split(' made a backup ').length - 1;
    const ledger = await writeSteadily(broker, () =>
      isLong ? sleep(10_000) : waitFor('five backups', () => made() >= 5),
    );
    assert.ok(ledger.size > 100);
    await waitFor('the oldest to be removed', () => backupsIn(backups).length === 3);
    const kept = backupsIn(backups);
    await broker.kill();
    assert.equal(backupsIn(backups).length, 3);
    const revisions = kept.map(revisionOf);
    assert.deepEqual(
      revisions,
      [...new Set(revisions)].toSorted((a, b) => a - b),
    );
    assert.equal(statSync(backups).mode & 0o777, 0o700);
    for (const backup of kept) {
      assert.equal(statSync(backup).mode & 0o777, 0o600);
      assert.deepEqual(await restoredFrom(backup), entriesAt(ledger, revisionOf(backup)), backup);
    }
  });

  it('are none where nothing changed, also across a restart, and none with a period of 0', async () => {
    const config = { _config: { backup_freq_secs: 0.1, backup_retain_n: 5 }, services: {} };
    const broker = await startBroker(reference, { config });
    const backups = path.join(broker.dir, 'backups');
    await waitFor('the first', () => backupsIn(backups).length === 1);
    await sleep(500);
    await broker.stop();
    const again = await startBroker(reference, { dir: broker.dir });
    await sleep(1500);
    assert.equal(backupsIn(backups).length, 1, again.stderr());
    await again.client(['service', 'register', '--name', 'foo', '--data', 'bar']);
    await waitFor('the second', () => backupsIn(backups).length === 2);
    await again.kill();
    const off = await startBroker(reference, { config: { _config: { backup_freq_secs: 0 } } });
    await sleep(1500);
    assert.ok(!readdirSync(off.dir).includes('backups'));
    await off.kill();
  });

  it('that kill -9 cuts short do not count, and are cleared away', async () => {
    const _config = { backup_freq_secs: 0.05, backup_retain_n: 4 };
    let broker = await startBroker(reference, { config: { _config, services: {} } });
    const backups = path.join(broker.dir, 'backups');
    let client = await connectTo(broker);
    const pad = 'x'.repeat(20_000);
    for (let n = 0; n < 300; n++) await client.replace(`n${n}`, { n, pad });
    const unfinished = (): string[] => readdirSync(backups).filter((name) => name.includes('.tmp-'));
    let cut = 0;
    for (let cycle = 0; cycle < 20 && cut < 3; cycle++) {
      const writing = (async () => {
        for (let n = 0; ; n++) await client.replace('counter', { n });
      })().catch(() => undefined);
      await waitFor('a backup under way', () => {
        // Polled by turns of the loop: it takes some milliseconds.
        const deadline = performance.now() + 20;
        while (performance.now() < deadline) if (unfinished().length > cut) return true;
        return false;
      });
      await broker.kill();
      await writing;
      client.close();
      cut = unfinished().length;
      for (const backup of backupsIn(backups)) await readBackup(backup);
      broker = await startBroker(reference, { dir: broker.dir });
      client = await connectTo(broker);
    }
    assert.ok(cut >= 3, `only ${cut} backups were cut short`);
    for (const name of unfinished()) utimesSync(path.join(backups, name), 1, 1);
    await client.replace('counter', 'x');
    await waitFor(
      'what is left of them to go',
      () => unfinished().filter((name) => isOld(name)).length === 0,
    );
    client.close();
    await broker.kill();

    function isOld(name: string): boolean {
      return statSync(path.join(backups, name)).mtimeMs < 5000;
    }
  });
});

describe('bpbroker backup', () => {
  it('prints the path of one that holds all that was acknowledged, whether the broker runs or not', async () => {
    const broker = await startBroker(reference, {
      config: { services: { _access_key: 'k' }, mine: { x: 1 } },
    });
    const client = await connectTo(broker, { accessKey: 'k' });
    await client.register('one', { a: 1 }, { ttlMs: 3_600_000 });
    const before = treeOf(broker.dir);
    const running = await backUp(broker.dir);
    assert.equal(running.code, 0, running.stderr);
    const [made = ''] = backupsIn(path.join(broker.dir, 'backups'));
    assert.equal(running.stdout, `${made}\n`);
    const after = treeOf(broker.dir);
    for (const [name, content] of Object.entries(before)) assert.equal(after[name], content, name);
    const { document, options } = await readBackup(made);
    assert.deepEqual(
      [...document.entries.values()].map(({ name, data, ttlMs }) => [name, data, ttlMs]),
      [['one', { a: 1 }, 3_600_000]],
    );
    assert.deepEqual([options['mine'], options['services']], [{ x: 1 }, { _access_key: 'k' }]);
    await client.register('two', 'x');
    await broker.kill();
    const stopped = await backUp(broker.dir);
    assert.equal(stopped.code, 0, stopped.stderr);
    const later = await readBackup(stopped.stdout.trim());
    assert.deepEqual(
      [...later.document.entries.values()].map(({ name }) => name),
      ['one', 'two'],
    );
  });

  const noRoot = process.getuid?.() === 0 ? false : 'needs root, to give files away';
  it("run by root leaves files to the broker's user", { skip: noRoot }, async () => {
    const broker = await startBroker(reference, { config: { services: {} } });
    await broker.stop();
    chownSync(broker.configFile, 12_345, 12_346);
    const { stdout } = await backUp(broker.dir);
    for (const made of [stdout.trim(), path.dirname(stdout.trim())]) {
      const { uid, gid } = statSync(made);
      assert.deepEqual([uid, gid], [12_345, 12_346], made);
    }
    const restored = await restore(broker.dir, stdout.trim());
    const keptIn = /^kept (.*)$/m.exec(restored.stdout)?.[1] ?? '';
    for (const made of [broker.configFile, keptIn, path.join(keptIn, 'bpbroker.json')])
      assert.equal(statSync(made).uid, 12_345, made);
  });

  it('makes many beside a broker under load, each the state of one moment', async () => {
    const broker = await startBroker(reference, { config: { services: {} } });
    const results: RunResult[] = [];
    const ledger = await writeSteadily(broker, async () => {
      for (let n = 0; n < 8; n++) results.push(await backUp(broker.dir));
    });
    await broker.kill();
    for (const { code, stdout, stderr } of results) {
      assert.equal(code, 0, stderr);
      const { document } = await readBackup(stdout.trim());
      const entries = [...document.entries.values()].map(({ name, revision }) => `${revision} ${name}`);
      const expected = entriesAt(ledger, document.revision).map(
        ({ name, revision }) => `${revision} ${name}`,
      );
      assert.deepEqual(entries.toSorted(), expected.toSorted(), `at revision ${document.revision}`);
    }
  });

  it('says so where there is nothing to back up', async () => {
    const dir = tempDir();
    const { code, stdout, stderr } = await backUp(dir);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /^Fatal error: Cannot read --config [^\n]*bpbroker\.json: there is no such file/);
    assert.deepEqual(readdirSync(dir), []);
  });
});

it('the folders of backups: beside a file, and in the tree of BPBROKER_HOME', async () => {
  const dir = tempDir();
  const etc = path.join(dir, 'bpbroker', 'etc');
  mkdirSync(etc, { recursive: true });
  writeFileSync(path.join(etc, 'bpbroker.json'), '{"services": {"foo": "bar"}}');
  const { code, stdout } = await bpbroker(dir, ['backup']);
  assert.equal(code, 0);
  assert.equal(path.dirname(stdout.trim()), path.join(dir, 'bpbroker', 'backups'));
  assert.deepEqual([...(await readBackup(stdout.trim())).document.entries.values()][0]?.data, {
    _str: 'bar',
  });
});
