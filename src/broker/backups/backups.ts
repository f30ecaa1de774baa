import { stat } from 'node:fs/promises';
import type { Config } from '../../config/schema.ts';
import { type JsonObject, sameData } from '../../protocol/formats/data.ts';
import { formatDuration, MAX_TIMER_MS } from '../../protocol/formats/duration.ts';
import { describeError } from '../../protocol/system-errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { ScheduledTask } from '../../protocol/schedule-monitor.ts';
import {
  backupPath,
  type BackupFile,
  listBackups,
  makeFolder,
  pruneBackups,
} from '../../store/file/backup/backup-folder.ts';
import { checkBackup } from '../../store/file/backup/backup-text.ts';
import type { BrokerStore } from '../opening/broker-store.ts';
import { formatBytes, freeBytes } from '../../store/file/disk-space.ts';

/** The scheduled backups of a running broker, as `_config` sets them. */
export interface Backups {
  /** The problem with them, for people; undefined when there is none, or no backups are configured. */
  problem(): string | undefined;
  /**
   * The last time when a backup was made, or the latest one was complete, in milliseconds since 1970;
   * undefined before that.
   */
  lastWell(): number | undefined;
  /** Ends the schedule, after a backup in progress. */
  close(): Promise<void>;
}

export interface BackupsOptions {
  readonly file: string;
  readonly dir: string;
  readonly store: BrokerStore;
  readonly config: Config['_config'];
  /** The options in the file. */
  readonly options: () => JsonObject;
  /** Shows that the schedule is running. */
  readonly schedule: ScheduledTask;
  readonly log: Logger;
}

/** The longest time for one backup, besides the period, in milliseconds; a longer one hangs. */
const BACKUP_MS = 3_600_000;
/**
 * The delay after a start, when the latest backup is older than the period, and after a failure, in
 * milliseconds.
 */
const SOON_MS = 1000;
const RETRY_MS = 30_000;

const nothing = (): undefined => undefined;

/**
 * Starts the schedule. With `backup_freq_secs` or `backup_retain_n` 0 it makes no backups. The period uses
 * the monotonic clock. Only the age of an earlier run's backup is read from its name.
 */
export function startBackups(setup: BackupsOptions): Backups {
  const { file, dir, store, log, schedule } = setup;
  const periodMs = setup.config.backup_freq_secs * 1000;
  const keep = setup.config.backup_retain_n;
  if (periodMs === 0 || keep === 0)
    return { problem: nothing, lastWell: nothing, close: () => Promise.resolve() };
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let failure: string | undefined;
  /** The latest backup known to hold the options of the file. */
  let known: { readonly path: string; readonly options: string } | undefined;
  /** When that was found, by the monotonic clock; at first, the start of the schedule. */
  let wellAt = performance.now();
  let lastWell: number | undefined;
  let running: Promise<void> = begin();

  function waitUntil(due: number): void {
    if (closed) return;
    const ms = Math.max(0, due - performance.now());
    schedule.expect(ms);
    timer = setTimeout(
      () => {
        if (performance.now() < due) waitUntil(due);
        else running = turn(due);
      },
      Math.min(ms, MAX_TIMER_MS),
    ).unref();
  }

  async function begin(): Promise<void> {
    const started = performance.now();
    const latest = await latestOf().catch(fail);
    lastWell ??= latest?.taken;
    const age = latest === undefined ? Number.NaN : Date.now() - latest.taken;
    // A backup from the future was made with a wrong clock: its age means nothing.
    const left = age >= 0 && age < periodMs ? periodMs - age : 0;
    waitUntil(started + Math.max(left, Math.min(SOON_MS, periodMs)));
  }

  /** Logs once that backups cannot be made; the next attempt follows in any case. */
  function fail(error: unknown): undefined {
    const reason = describeError(error);
    if (failure === undefined && !closed) log.warn('cannot make a backup', { reason });
    failure = reason;
  }

  async function turn(due: number): Promise<void> {
    schedule.expect(BACKUP_MS + periodMs);
    try {
      await backUp();
      if (failure !== undefined) log.info('backups are made again', { dir });
      failure = undefined;
      wellAt = performance.now();
      lastWell = Date.now();
      // The next time follows from the plan and not from the last backup; missed times are left out.
      waitUntil(Math.max(due + periodMs, performance.now()));
    } catch (error) {
      fail(error);
      waitUntil(performance.now() + Math.min(RETRY_MS, periodMs));
    }
  }

  async function backUp(): Promise<void> {
    const latest = await latestOf();
    if (latest !== undefined && (await holdsPresent(latest))) {
      known = knownAt(latest.path);
    } else {
      await checkRoom(latest);
      await makeFolder(dir, file);
      // A reload may change them while the backup is written, with those of its beginning.
      const options = optionsNow();
      const made = await store.backUp((revision) => backupPath(dir, file, latest, revision));
      known = { path: made.path, options };
      log.info('made a backup', { file: made.path, revision: made.revision });
    }
    // Also where there is nothing new: fewer may be kept now, or the last removal has failed.
    await pruneBackups(dir, file, keep);
  }

  function knownAt(backup: string): { path: string; options: string } {
    return { path: backup, options: optionsNow() };
  }

  function optionsNow(): string {
    return JSON.stringify(setup.options());
  }

  async function latestOf(): Promise<BackupFile | undefined> {
    return (await listBackups(dir, file)).at(-1);
  }

  /** Whether a backup holds the present state. A backup of an earlier run is read, and must be whole. */
  async function holdsPresent(latest: BackupFile): Promise<boolean> {
    if (latest.revision !== store.revision) return false;
    const now = knownAt(latest.path);
    if (now.path === known?.path && now.options === known.options) return true;
    try {
      const { id, revision, options } = await checkBackup(latest.path);
      const isSame = id === store.id && revision === store.revision;
      return isSame && sameData(options, setup.options());
    } catch (error) {
      log.warn('the latest backup cannot be used', { reason: describeError(error) });
      return false;
    }
  }

  /** A backup must leave the room that the registry needs for its next writes. */
  async function checkRoom(latest: BackupFile | undefined): Promise<void> {
    const { writable, reason } = store.health();
    if (!writable) throw new Error(reason);
    const sizes = [file, ...(latest ? [latest.path] : [])].map(async (at) => (await stat(at)).size);
    const expected = Math.max(...(await Promise.all(sizes)));
    const free = await freeBytes(dir);
    if (free >= 2 * expected) return;
    throw new Error(
      `${formatBytes(free)} are free at ${dir}; a backup takes about ${formatBytes(expected)}, and as much must be left`,
    );
  }

  return {
    problem() {
      if (failure !== undefined) return failure;
      const age = performance.now() - wellAt;
      return age > 2 * periodMs + RETRY_MS
        ? `the last backup is ${formatDuration(age)} old; one is due every ${formatDuration(periodMs)}`
        : undefined;
    },
    lastWell: () => lastWell,
    async close() {
      closed = true;
      clearTimeout(timer);
      await running;
      clearTimeout(timer);
      schedule.rest();
    },
  };
}
