import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** How long what was asked to end has for that; then it is killed. */
const GRACE_MS = 2000;
/** How long to wait for the system to end what was killed. */
const KILL_MS = 2000;
const LOOK_EVERY_MS = 20;

const windows = process.platform === 'win32';

/**
 * Asks all of a process group to end, kills what has not done so within `graceMs`, and waits for that. On Windows, which has no
 * groups, a process and all that it has started are ended at once.
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

/** Kills a process group, and waits until the system has ended it: whoever comes after us may count on that. */
export async function killGroup(pid: number): Promise<void> {
  if (windows) return killTree(pid);
  const deadline = performance.now() + KILL_MS;
  // One that the system cannot end, such as one that waits for a disk, is not waited for any longer.
  while (signalGroup(pid, 'SIGKILL') && isThere(pid) && performance.now() < deadline) await pause();
}

/** Gives whether any of a process group was there. */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  return signalProcess(-pid, signal);
}

/** Gives whether a process was there, be it one of another user, such as one that sudo has started, which nothing of ours reaches. */
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
 * Whether any of a process group has not ended. Where the first process of a system waits for nobody, as in many a container, what
 * has ended stays in its group for ever.
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
    // It has gone meanwhile.
    return false;
  }
  // Behind the name, which may have anything in it: state, parent, group.
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
