import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import type { Announcement } from './ready-line.ts';

/**
 * How a detached broker notifies the command that started it that it is ready: by a file in a folder for
 * these two alone. Every runtime and system has files. Not each of them lets a child inherit more than its
 * three standard streams.
 */

/** The variable that names the file to the broker. */
const VARIABLE = 'BPBROKER_DETACHED_READY_FILE';

export interface ReadyFile {
  /** Additions to the broker's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** What the broker has written; `undefined` before it has. */
  read(): Announcement | undefined;
  remove(): void;
}

/** @throws BrokerError `invalid_config` when no temporary file can be made. */
export function makeReadyFile(): ReadyFile {
  let dir: string;
  try {
    dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-'));
  } catch (error) {
    throw new BrokerError('invalid_config', `Cannot make a temporary folder: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  const file = path.join(dir, 'ready');
  return {
    env: { [VARIABLE]: file },
    read() {
      try {
        return JSON.parse(readFileSync(file, 'utf8')) as Announcement;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/**
 * The file that the command waits for which started this broker, if one waits. Programs that the broker
 * starts do not inherit its name.
 */
export function takeReadyFile(env: NodeJS.ProcessEnv): string | undefined {
  const file = env[VARIABLE];
  delete env[VARIABLE];
  return file;
}

/** @throws the system's error when nobody waits any more. */
export function writeReadyFile(file: string, announcement: Announcement): void {
  const written = `${file}.new`;
  writeFileSync(written, JSON.stringify(announcement), { mode: 0o600, flag: 'wx' });
  // The rename makes the file appear whole, or not at all.
  renameSync(written, file);
}
