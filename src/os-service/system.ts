import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { chmod, copyFile, lstat, readdir, readFile, readlink, rename, rm, rmdir } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { replaceFile } from '../config/atomic-write.ts';
import type { Environment } from '../config/paths.ts';
import { messageOf } from '../protocol/errors.ts';
import { makeFolder } from '../config/folder.ts';

export interface CommandResult {
  /** Exit code; 127 when there is no such program, as in a shell. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The kind of the file at a path; a link is not followed. */
export interface PathInfo {
  readonly kind: 'file' | 'folder' | 'other';
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
}

/** The machine that a service is installed on: all that the plans in this folder read and change. */
export interface System {
  readonly platform: NodeJS.Platform;
  readonly env: Environment;
  /** Whether the user is root; `undefined` when the system has no such user. */
  readonly isRoot: boolean | undefined;
  /** Runs a program to its end, without a shell. Never rejects. */
  run(command: readonly string[]): Promise<CommandResult>;
  /** The path of a program of this name on the PATH. */
  findProgram(name: string): Promise<string | undefined>;
  stat(file: string): Promise<PathInfo | undefined>;
  /** Where a symbolic link leads, as it says; `undefined` for anything else. */
  readLink(file: string): Promise<string | undefined>;
  readText(file: string): Promise<string | undefined>;
  sameContent(one: string, other: string): Promise<boolean>;
  /** Writes a file whole or not at all. */
  writeText(file: string, text: string, mode: number): Promise<void>;
  /** Copies a program to its place, and replaces one that may be running. */
  copyProgram(from: string, to: string): Promise<void>;
  /** Makes a folder whatever the umask; everyone may enter missing folders above it. */
  makeFolder(dir: string, mode: number): Promise<void>;
  remove(file: string): Promise<void>;
  isEmptyFolder(dir: string): Promise<boolean>;
  /** Removes an empty folder. */
  removeFolder(dir: string): Promise<void>;
}

/** This machine. */
export function thisSystem(): System {
  const windows = process.platform === 'win32';
  return {
    platform: process.platform,
    env: process.env,
    isRoot: process.getuid && process.getuid() === 0,
    run: runProgram,
    findProgram: (name) => findOnPath(name, process.env, windows),
    stat: pathInfo,
    async readLink(file) {
      // EINVAL: it is something else.
      return readlink(file).catch((error: NodeJS.ErrnoException) =>
        error.code === 'EINVAL' ? undefined : absent(error),
      );
    },
    async readText(file) {
      return readFile(file, 'utf8').catch(absent);
    },
    async sameContent(one, other) {
      const [a, b] = await Promise.all([hashOf(one), hashOf(other)]);
      return a !== undefined && a === b;
    },
    async writeText(file, text, mode) {
      await replaceFile(file, [text], { mode });
    },
    async copyProgram(from, to) {
      const staged = `${to}.new-${process.pid}`;
      try {
        await copyFile(from, staged);
        await chmod(staged, 0o755);
        if (windows) await moveAside(to);
        await rename(staged, to);
      } finally {
        await rm(staged, { force: true });
      }
    },
    makeFolder,
    async remove(file) {
      await rm(file, { force: true });
    },
    async isEmptyFolder(dir) {
      return (await readdir(dir).catch(absent))?.length === 0;
    },
    removeFolder: (dir) => rmdir(dir),
  };
}

/**
 * Renames a program that may run, since Windows does not let it be replaced. The renamed file is removed at
 * once, or the next time.
 */
async function moveAside(file: string): Promise<void> {
  const aside = `${file}.old`;
  await rm(aside, { force: true }).catch(() => undefined);
  await rename(file, aside).catch(absent);
  await rm(aside, { force: true }).catch(() => undefined);
}

function runProgram([file = '', ...args]: readonly string[]): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', (error) => resolve({ code: 127, stdout, stderr: messageOf(error) }));
    child.once('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
  });
}

async function findOnPath(name: string, env: Environment, windows: boolean): Promise<string | undefined> {
  const folders = (env['PATH'] ?? env['Path'] ?? '').split(path.delimiter).filter(Boolean);
  for (const folder of folders) {
    const file = path.join(folder, windows ? `${name}.exe` : name);
    const found = await pathInfo(file);
    if (found && found.kind !== 'folder') return file;
  }
  return undefined;
}

async function pathInfo(file: string): Promise<PathInfo | undefined> {
  const info = await lstat(file).catch(absent);
  if (!info) return undefined;
  const ordinary = info.isDirectory() ? 'folder' : 'file';
  const kind = info.isDirectory() || info.isFile() ? ordinary : 'other';
  return { kind, mode: info.mode & 0o7777, uid: info.uid };
}

async function hashOf(file: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(file), hash);
    return hash.digest('hex');
  } catch (error) {
    return absent(error);
  }
}

function absent(error: unknown): undefined {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
  throw error;
}
