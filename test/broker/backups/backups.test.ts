import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Broker, openBroker } from '../../../src/broker/broker.ts';
import { type Logger, silentLogger } from '../../../src/protocol/logger.ts';
import { readBackup } from '../../../src/store/file/backup/backup-text.ts';
import { put } from '../../store/support.ts';
import { unmount } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';

const place = path.join(tempDir(), 'small');
const noMount = process.getuid?.() === 0 ? whyNoMount() : 'needs root';

function whyNoMount(): string | false {
  if (process.platform !== 'linux') return 'needs Linux';
  try {
    mkdirSync(place, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place], { stdio: 'ignore' });
    execFileSync('umount', ['-l', place]);
    return false;
  } catch {
    return 'needs to mount a tmpfs';
  }
}

/** A broker with a backup every tenth of a second; what it says of them. */
async function openWith(file: string, backupDir: string): Promise<{ broker: Broker; said: string[] }> {
  const said: string[] = [];
  const note = (message: string): unknown => said.push(message);
  const log: Logger = { ...silentLogger, info: note, warn: note };
  const config = {
    _config: { backup_freq_secs: 0.1, backup_retain_n: 2 },
    _global: { healthcheck_freq_sec: 0.1 },
  };
  const broker = await openBroker({ file, backupDir, log, config });
  return { broker, said };
}

async function backupsOf(broker: Broker): Promise<string | undefined> {
  const { checks } = (await (await broker.app.request('/readyz')).json()) as {
    checks: Record<string, { ok: boolean; warning?: string }>;
  };
  assert.equal(checks['backups']?.ok ?? true, true);
  return checks['backups']?.warning;
}

describe('backups on a full disk', { skip: noMount }, () => {
  for (const where of ['their own', "the registry's too"]) {
    it(`(${where}) are left out, said once, and made again once there is room`, async () => {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place]);
      try {
        const dir = path.join(place, 'backups');
        const home = where === 'their own' ? tempDir() : place;
        const { broker, said } = await openWith(path.join(home, 'bpbroker.json'), dir);
        await broker.store.mutate('big', put('x'.repeat(100_000)));
        const isWhole = (): boolean =>
          readdirSync(dir).some((name) => name.endsWith('-r0000000000000001.json'));
        await waitFor('a backup', isWhole);
        const filler = path.join(place, 'filler');
        const room = Number(execFileSync('df', ['--output=avail', '-B1', place]).toString().split('\n')[1]);
        writeFileSync(filler, 'x'.repeat(room - 60_000));
        await broker.store.mutate('small', put('y'));
        await waitFor('the refusal', () => said.includes('cannot make a backup'));
        const before = readdirSync(dir);
        await waitFor('the warning of /readyz', async () => {
          assert.match((await backupsOf(broker)) ?? '', /free at|room/, said.join('\n'));
          return true;
        });
        await broker.store.mutate('small', put('z'));
        // Some periods, in each of which it is tried again.
        await sleep(400);
        assert.deepEqual(readdirSync(dir), before, 'neither a new one nor a part of one, nor one removed');
        assert.equal(said.filter((message) => message === 'cannot make a backup').length, 1);
        rmSync(filler);
        await waitFor('backups to be made again', () => said.includes('backups are made again'));
        assert.equal(broker.store.revision, 3);
        const kept = readdirSync(dir).toSorted();
        assert.equal(kept.length, 2);
        const { document } = await readBackup(path.join(dir, kept.at(-1) ?? ''));
        assert.equal(document.revision, 3);
        await waitFor('the warning to go', async () => (await backupsOf(broker)) === undefined);
        await broker.close();
      } finally {
        unmount(place);
      }
    });
  }
});

describe('backups', () => {
  it('that cannot be made leave the broker ready, with a warning', async () => {
    const home = tempDir();
    writeFileSync(path.join(home, 'backups'), 'a file where the folder should be');
    const { broker, said } = await openWith(path.join(home, 'bpbroker.json'), path.join(home, 'backups'));
    await waitFor('the warning', async () => (await backupsOf(broker)) !== undefined);
    assert.equal((await broker.app.request('/readyz')).status, 200);
    await waitFor('the log', () => said.includes('cannot make a backup'));
    await broker.close();
  });

  it('come soon after a start if the latest is older than the period, or from a clock that was wrong', async () => {
    const home = tempDir();
    const dir = path.join(home, 'backups');
    const file = path.join(home, 'bpbroker.json');
    const first = await openWith(file, dir);
    await waitFor('a backup', () => readdirSync(dir).length === 1);
    await first.broker.store.mutate('a', put('1'));
    await first.broker.close();
    for (const name of readdirSync(dir).slice(1)) rmSync(path.join(dir, name));
    const [made = ''] = readdirSync(dir);
    const config = { _config: { backup_freq_secs: 3600 } };
    const young = await openBroker({ file, config });
    await young.store.mutate('a', put('2'));
    await sleep(1500);
    assert.deepEqual(readdirSync(dir), [made]);
    await young.close();
    for (const year of ['2020', '2099']) {
      renameSync(path.join(dir, made), path.join(dir, made.replace(/\d{4}/, year)));
      const later = await openBroker({ file, config });
      await waitFor('the next', () => readdirSync(dir).length === 2);
      await later.close();
      const [older = '', newer = ''] = readdirSync(dir).toSorted();
      assert.ok(older.includes(year) || year === '2099');
      assert.ok(newer.includes('-2099') || year === '2020');
      rmSync(path.join(dir, newer));
      renameSync(path.join(dir, older), path.join(dir, made));
    }
  });

  it('are made anew where the latest is damaged, or of another registry', async () => {
    const home = tempDir();
    const dir = path.join(home, 'backups');
    mkdirSync(dir);
    const damaged = 'bpbroker-20260131T120000123Z-r0000000000000000.json';
    writeFileSync(path.join(dir, damaged), '{}');
    const { broker, said } = await openWith(path.join(home, 'bpbroker.json'), dir);
    await waitFor('a good one', () => readdirSync(dir).length === 2);
    assert.ok(said.includes('the latest backup cannot be used'));
    await broker.close();
  });

  it('beyond those to keep are removed, also where there is nothing new to back up', async () => {
    const home = tempDir();
    const dir = path.join(home, 'backups');
    const file = path.join(home, 'bpbroker.json');
    const many = { _config: { backup_freq_secs: 0.05, backup_retain_n: 9 } };
    const first = await openBroker({ file, backupDir: dir, config: many });
    for (let count = 1; count <= 4; count++) {
      await first.store.mutate('a', put(`${count}`));
      await waitFor(`backup ${count}`, () =>
        readdirSync(dir).some((name) => name.endsWith(`-r000000000000000${count}.json`)),
      );
    }
    await first.close();
    const kept = readdirSync(dir)
      .filter((name) => name.endsWith('.json'))
      .toSorted();
    assert.ok(kept.length >= 4, kept.join(' '));
    const { broker } = await openWith(file, dir);
    await waitFor('two to be left', () => readdirSync(dir).length === 2);
    assert.deepEqual(readdirSync(dir).toSorted(), kept.slice(-2));
    await broker.close();
  });

  it('in progress are finished by a stop, in which the store closes meanwhile and so hurries them', async () => {
    const home = tempDir();
    const dir = path.join(home, 'backups');
    const file = path.join(home, 'bpbroker.json');
    const { broker } = await openWith(file, dir);
    const writes = Array.from({ length: 3000 }, (_, i) =>
      broker.store.mutate(`n${i}`, put('x'.repeat(10_000))),
    );
    await Promise.all(writes);
    const isWriting = (): boolean => readdirSync(dir).some((name) => /-r0{12}3000\.json\.tmp-/.test(name));
    await waitFor('a backup in progress', isWriting);
    const closed = broker.close();
    const atStop = await waitFor('the store to close', () => {
      const { reason } = broker.store.health();
      return reason === 'the broker is stopping' && { isWriting: isWriting() };
    });
    assert.deepEqual(atStop, { isWriting: true });
    await closed;
    assert.equal(isWriting(), false);
    const { document } = await readBackup(path.join(dir, readdirSync(dir).toSorted().at(-1) ?? ''));
    assert.equal(document.entries.size, 3000);
    const again = await openBroker({ file });
    assert.equal(again.store.revision, 3000);
    await again.close();
  });
});
