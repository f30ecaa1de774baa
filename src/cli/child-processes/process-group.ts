import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Time for a process to end after it was asked; then it is killed. In milliseconds. */
const GRACE_MS = 2000;
/** Longest wait for the system to end killed processes, in milliseconds. */
const KILL_MS = 2000;
const LOOK_EVERY_MS = 20;

const windows = process.platform === 'win32';

/**
 * Asks a whole process group to end, kills those that have not done so within `graceMs`, and waits for their
 * end. On Windows, which has no groups, a process and all that it has started are ended at once.
 */
export async function endGroup(pid: number, by: NodeJS.Signals, graceMs: number = GRACE_MS): Promise<void> {
  if (windows) return killTree(pid);
  const deadline = performance.now() + graceMs;
  signalGroup(pid, by);
  while (isThere(pid)) {
    if (performance.now() > deadline) return killGroup(pid);
    await pause();
  }
}

/** Kills a process group, and waits until the system has ended it: whatever runs next may rely on that. */
export async function killGroup(pid: number): Promise<void> {
  if (windows) return killTree(pid);
  const deadline = performance.now() + KILL_MS;
  // Some processes cannot be ended, such as one that waits for a disk. The wait for them has a limit.
  while (signalGroup(pid, 'SIGKILL') && isThere(pid) && performance.now() < deadline) await pause();
}

/** Sends a signal to a process group. Returns whether any of its processes existed. */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  return signalProcess(-pid, signal);
}

/**
 * Sends a signal to a process. Returns whether it existed. A process of another user (such as one that sudo
 * has started) exists, though our signal does not reach it.
 */
export function signalProcess(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ESRCH') return false;
    if (code === 'EPERM') return true;
    throw error;
  }
}

/**
 * Whether a process of the group still runs. Zombies do not count: in many containers, process 1 waits for
 * nobody, and they stay in their group for ever.
 */
function isThere(group: number): boolean {
  if (!signalGroup(group, 0)) return false;
  if (process.platform !== 'linux') return true;
  const members = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isMember(name, group));
  return members.length > 0;
}

/** Whether a process belongs to a group, and has not ended (Linux). */
function isMember(pid: string, group: number): boolean {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // The process has ended meanwhile.
    return false;
  }
  // After the name, which may contain anything, come state, parent and group.
  const [state, , own] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(own) === group && state !== 'Z' && state !== 'X';
}

async function killTree(pid: number): Promise<void> {
  const killer = spawn('taskkill', ['/pid', String(pid), '/t', '/f'], { stdio: 'ignore', windowsHide: true });
  await new Promise((resolve) => killer.once('error', resolve).once('exit', resolve));
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, LOOK_EVERY_MS);
  });
}
