/** Disks in a file: made, mounted, cut off from power, mounted again. Needs root and loop devices. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compiled, noCompiler } from './compiled.ts';

export interface Disk {
  /** Where it is mounted. */
  readonly dir: string;
  /** As when the power goes: what the system has not made durable is lost. What has files open must be killed after it. */
  cut(): Promise<void>;
  /** After a cut: unmounts and mounts again. */
  back(): Promise<void>;
  remove(): Promise<void>;
}

export type FileSystem = 'ext4' | 'xfs';

const run = (...[file = '', ...args]: string[]): string =>
  execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Why disks cannot be made here; false when they can. */
export function noDisks(...tools: string[]): string | false {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root';
  for (const tool of ['mkfs.ext4', 'losetup', 'mount', ...tools]) {
    const found = ['/usr/sbin', '/sbin', '/usr/bin', '/bin'].some((dir) => existsSync(path.join(dir, tool)));
    if (!found) return `needs ${tool}`;
  }
  if (!existsSync('/dev/loop-control')) return 'needs loop devices';
  return false;
}

export const noVolatileDisks = (): string | false =>
  noDisks() || noCompiler(['fuse3']) || (!existsSync('/dev/fuse') && 'needs /dev/fuse');

function format(image: string, fs: FileSystem): void {
  if (fs === 'xfs') run('mkfs.xfs', '-q', '-f', image);
  else run('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image);
}

/** Tries again for a while: a process that was killed a moment ago may hold it yet. What is not mounted is done. */
async function unmount(dir: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      run('umount', dir);
      return;
    } catch (error) {
      if (/not mounted/.test(String(error))) return;
      if (tries > 100) throw error;
      await sleep(50);
    }
  }
}

/** A file system in a file. A cut drops what it has not written yet, by the system's own means for it. */
export async function makeDisk(scratch: string, fs: FileSystem, megabytes: number): Promise<Disk> {
  const image = path.join(scratch, 'image');
  const dir = path.join(scratch, 'disk');
  mkdirSync(dir, { recursive: true });
  writeFileSync(image, '');
  truncateSync(image, megabytes * 1024 * 1024);
  format(image, fs);
  run('mount', '-o', 'loop', image, dir);
  return {
    dir,
    async cut() {
      await Promise.resolve(run('xfs_io', '-x', '-c', 'shutdown', dir));
    },
    async back() {
      await unmount(dir);
      // A copy: a mount namespace that another process made meanwhile keeps the file system alive, shut down as it is,
      // and the same image would be that one again.
      run('cp', '--sparse=always', image, `${image}.next`);
      renameSync(`${image}.next`, image);
      run('mount', '-o', 'loop', image, dir);
    },
    async remove() {
      await unmount(dir);
    },
  };
}

/**
 * A file system on a drive that forgets. Writes stay in the drive's own cache until the system flushes it. A
 * power cut keeps or loses each sector of 512 bytes in it at random (volatile.c, a file in user space under a
 * loop device).
 */
export async function makeVolatileDisk(
  scratch: string,
  fs: FileSystem,
  megabytes: number,
  seed: number,
): Promise<Disk> {
  const backing = path.join(scratch, 'backing');
  const drive = path.join(scratch, 'drive');
  const dir = path.join(scratch, 'disk');
  for (const folder of [drive, dir]) mkdirSync(folder, { recursive: true });
  writeFileSync(backing, '');
  truncateSync(backing, megabytes * 1024 * 1024);
  format(backing, fs);
  const program = compiled('volatile', ['fuse3']);
  const daemon = spawn(program, [backing, String(seed), '-f', '-s', drive], { stdio: 'inherit' });
  const ended = once(daemon, 'exit');
  const file = path.join(drive, 'disk');
  for (let tries = 0; !existsSync(file); tries++) {
    if (tries > 200 || daemon.exitCode !== null) throw new Error('The drive did not come up');
    await sleep(20);
  }
  let loop = '';
  const attach = (): void => {
    loop = run('losetup', '--find', '--show', file).trim();
    run('mount', loop, dir);
  };
  const detach = async (): Promise<void> => {
    await unmount(dir);
    run('losetup', '--detach', loop);
    for (
      let tries = 0;
      run('losetup', '--list', '--noheadings', '--output', 'BACK-FILE', '--associated', file).trim();
      tries++
    ) {
      if (tries > 6000) throw new Error(`${loop} stays attached`);
      await sleep(10);
    }
  };
  attach();
  return {
    dir,
    async cut() {
      daemon.kill('SIGUSR1');
      await sleep(2);
    },
    async back() {
      await detach();
      daemon.kill('SIGUSR2');
      await sleep(2);
      attach();
    },
    async remove() {
      await detach();
      run('umount', drive);
      await ended;
    },
  };
}
