import { stat } from 'node:fs/promises';
import type { Config } from '../../config/schema.ts';
import { type JsonObject, sameData } from '../../protocol/formats/data.ts';
import { formatDuration, MAX_TIMER_MS } from '../../protocol/formats/duration.ts';
import { describeError } from '../../protocol/system-errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { Heartbeat } from '../../protocol/heartbeat.ts';
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

/** The backups of a broker that runs, made as `_config` says. */
export interface Backups {
  /** What is amiss with them, for people; nothing when all is well, or none are asked for. */
  problem(): string | undefined;
  /** When they were last well, in milliseconds since 1970: one was made, or the latest holds all; nothing before that. */
  lastWell(): number | undefined;
  /** Ends the schedule; a backup under way is finished first. */
  close(): Promise<void>;
}

export interface BackupsOptions {
  readonly file: string;
  readonly dir: string;
  readonly store: BrokerStore;
  readonly config: Config['_config'];
  /** The options in the file. */
  readonly options: () => JsonObject;
  /** Shows that the schedule goes on. */
  readonly heartbeat: Heartbeat;
  readonly log: Logger;
}

/** Longest that one backup takes unless it hangs, besides the period. */
const BACKUP_MS = 3_600_000;
/** After a start, when the latest backup is older than the period; and after a failure. */
const SOON_MS = 1000;
const RETRY_MS = 30_000;

const nothing = (): undefined => undefined;

/**
 * Starts them. None are made with `backup_freq_secs` or `backup_retain_n` 0. The period runs by the monotonic clock;
 * only the age of what an earlier run left is read from its name.
 */
export function startBackups(setup: BackupsOptions): Backups {
  const { file, dir, store, log, heartbeat } = setup;
  const periodMs = setup.config.backup_freq_secs * 1000;
  const keep = setup.config.backup_retain_n;
  if (periodMs === 0 || keep === 0)
    return { problem: nothing, lastWell: nothing, close: () => Promise.resolve() };
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let failure: string | undefined;
  /** The latest backup known to hold options that were those of the file. */
  let known: { readonly path: string; readonly options: string } | undefined;
  /** When that was found, by the monotonic clock; at first, when this began. */
  let wellAt = performance.now();
  let lastWell: number | undefined;
  let running: Promise<void> = begin();

  function waitUntil(due: number): void {
    if (closed) return;
    const ms = Math.max(0, due - performance.now());
    heartbeat.expect(ms);
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
    // A backup from the future was made by a clock that was wrong: its age says nothing.
    const left = age >= 0 && age < periodMs ? periodMs - age : 0;
    waitUntil(started + Math.max(left, Math.min(SOON_MS, periodMs)));
  }

  /** Says that backups cannot be made, once; another attempt follows in any case. */
  function fail(error: unknown): undefined {
    const reason = describeError(error);
    if (failure === undefined && !closed) log.warn('cannot make a backup', { reason });
    failure = reason;
  }

  async function turn(due: number): Promise<void> {
    heartbeat.expect(BACKUP_MS + periodMs);
    try {
      await backUp();
      if (failure !== undefined) log.info('backups are made again', { dir });
      failure = undefined;
      wellAt = performance.now();
      lastWell = Date.now();
      // By the plan and not by when it was done; turns that were missed are left out.
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
      return;
    }
    await checkRoom(latest);
    await makeFolder(dir, file);
    const made = await store.backUp((revision) => backupPath(dir, file, latest, revision));
    known = knownAt(made.path);
    log.info('made a backup', { file: made.path, revision: made.revision });
    await pruneBackups(dir, file, keep);
  }

  function knownAt(backup: string): { path: string; options: string } {
    return { path: backup, options: JSON.stringify(setup.options()) };
  }

  async function latestOf(): Promise<BackupFile | undefined> {
    return (await listBackups(dir, file)).at(-1);
  }

  /** Whether a backup is that of the present state. One that this run did not make is read, and must be whole. */
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

  /** A backup must not take the room that the registry needs for its next writes. */
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
      heartbeat.rest();
    },
  };
}
