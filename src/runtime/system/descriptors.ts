import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';

/**
 * The most files, sockets and pipes that this process may have open: its soft limit (RLIMIT_NOFILE), or
 * `Infinity`.
 */
export function descriptorLimit(): number {
  if (process.platform === 'win32') return Infinity;
  const text = process.platform === 'linux' ? fromProc() : fromShell();
  const limit = Number.parseInt(text, 10);
  // `unlimited`, or a system that does not say: then no number is known to be too high.
  return Number.isNaN(limit) ? Infinity : limit;
}

/**
 * The number of open descriptors; `Infinity` when none is left to count with, 0 where the system does not
 * say.
 */
export function openDescriptors(): number {
  if (process.platform === 'win32') return 0;
  const isLinux = process.platform === 'linux';
  try {
    // Linux 6.2 and later say the number as the folder's size (proc_pid_fd(5)). To list 5,000 takes milliseconds.
    const size = isLinux ? statSync('/proc/self/fd').size : 0;
    if (size > 0) return size;
    // One of them lists the folder itself, and does not count.
    return readdirSync(isLinux ? '/proc/self/fd' : '/dev/fd').length - 1;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EMFILE' || code === 'ENFILE' ? Infinity : 0;
  }
}

function fromProc(): string {
  try {
    return /^Max open files +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? '';
  } catch {
    // A container without /proc.
    return fromShell();
  }
}

/** A child has the limits of its parent. */
function fromShell(): string {
  try {
    return execFileSync('/bin/sh', ['-c', 'ulimit -n'], { encoding: 'utf8', timeout: 5000 });
  } catch {
    return '';
  }
}
