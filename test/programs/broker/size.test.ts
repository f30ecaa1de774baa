import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import {
  cleanEnv,
  type Launcher,
  launchers,
  run,
  type RunResult,
  startBroker,
} from '../../support/programs/programs.ts';
import { writeRegistry } from '../../support/registry/registry-file.ts';
import { tempDir } from '../../support/temp.ts';
import { backupsIn } from '../backups/backup-support.ts';
import { connectTo, skipOf } from '../support.ts';

const isLong = process.env['BPBROKER_LONG'] === '1';
const MIB = 1024 * 1024;
/** A gigabyte that is read, checked and written on a machine that does other things as well. */
const PATIENCE_MS = 300_000;

const nameOf = (i: number): string => `n${String(i).padStart(6, '0')}`;
const dataOf = (i: number): { _str: string } => ({ _str: `${i} `.repeat(1_000_000).slice(0, 1_000_000) });

async function command(launcher: Launcher, dir: string, args: readonly string[]): Promise<RunResult> {
  const config = path.join(dir, 'bpbroker.json');
  const env = cleanEnv(dir);
  const result = await run([...launcher.bpbroker, ...args, '--config', config], {
    cwd: dir,
    env,
    timeoutMs: PATIENCE_MS,
  });
  assert.equal(result.code, 0, result.stderr);
  return result;
}

/** Starts a broker in `dir` and looks at what it has. */
async function reopen(launcher: Launcher, dir: string, count: number): Promise<void> {
  const broker = await startBroker(launcher, { dir, timeoutMs: PATIENCE_MS });
  const client = await connectTo(broker);
  for (const i of [0, Math.floor(count / 2), count - 1]) {
    assert.equal((await client.get(nameOf(i))).data, dataOf(i)._str);
  }
  await client.replace('small', 'changed');
  await client.delete('small');
  client.close();
  assert.deepEqual(await broker.stop('SIGTERM', PATIENCE_MS), { code: 0, signal: undefined });
}

/** Opens, backs up and restores a registry that a broker has written. */
async function endures(launcher: Launcher, dir: string, count: number): Promise<void> {
  await reopen(launcher, dir, count);
  await command(launcher, dir, ['backup']);
  const made = backupsIn(path.join(dir, 'backups')).at(-1) ?? assert.fail('no backup');
  await command(launcher, dir, ['restore', '--from', made]);
  await reopen(launcher, dir, count);
}

for (const launcher of launchers) {
  describe(`a registry at its limit, on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    it('refuses what exceeds it, is opened again after a stop and a crash, and its backup restores', async () => {
      const dir = tempDir();
      const config = {
        api: { listen_port: 0, listen_ip: '127.0.0.1' },
        services: {},
        // The long form: the default.
        ...(isLong ? {} : { _store: { max_bytes: 5 * MIB } }),
      };
      const broker = await startBroker(launcher, { dir, config });
      const client = await connectTo(broker);
      let count = 0;
      const fill = async (): Promise<void> => {
        for (; count < 2000; count++) await client.register(nameOf(count), dataOf(count)._str);
      };
      await assert.rejects(fill(), {
        code: 'storage_full',
        message: /the registry counts \d+ bytes.*'_store\.max_bytes' allows \d+/,
      });
      assert.equal(count, isLong ? 1073 : 5);
      client.close();
      await broker.kill();
      await endures(launcher, dir, count);
    });
  });
}

const host = launchers.find(({ name }) => name === 'node20');
describe(
  'a registry longer than the longest string of Node',
  { skip: host ? skipOf(host) : 'no Node' },
  () => {
    it('is opened, backed up and restored', { timeout: 900_000 }, async () => {
      if (!host) return;
      const dir = tempDir();
      const bytes = writeRegistry({ file: path.join(dir, 'bpbroker.json'), count: 600, nameOf, dataOf });
      assert.ok(bytes > 0x1fffffe8);
      await endures(host, dir, 600);
    });
  },
);
