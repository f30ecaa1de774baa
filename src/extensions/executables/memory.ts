import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';

/**
 * The memory of a process and all of its descendants, in bytes; undefined where the system does not say, or
 * the process has ended. On Linux, memory mapped from files does not count: all processes of one runtime
 * share it.
 */
export async function treeMemory(pid: number): Promise<number | undefined> {
  if (process.platform === 'linux') return linuxMemory(pid);
  if (process.platform === 'win32') return undefined;
  return psMemory(pid);
}

async function linuxMemory(pid: number): Promise<number | undefined> {
  const own = await statusOf(pid);
  if (own === undefined) return undefined;
  const children = await childrenOf(pid);
  const below = await Promise.all(children.map(linuxMemory));
  return below.reduce<number>((sum, bytes) => sum + (bytes ?? 0), own);
}

async function statusOf(pid: number): Promise<number | undefined> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const kib = [...status.matchAll(/^Rss(?:Anon|Shmem):\s+(\d+) kB$/gm)];
    return kib.reduce((sum, [, amount]) => sum + Number(amount) * 1024, 0);
  } catch {
    return undefined;
  }
}

/** A process has the children of each of its threads. */
async function childrenOf(pid: number): Promise<number[]> {
  try {
    const threads = await readdir(`/proc/${pid}/task`);
    const lists = await Promise.all(
      threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
    );
    return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
  } catch {
    return [];
  }
}

/** macOS and the BSDs: resident memory, which counts shared pages for each process. */
async function psMemory(pid: number): Promise<number | undefined> {
  const table = await new Promise<string>((resolve) => {
    execFile('ps', ['-axo', 'pid=,ppid=,rss='], (error, stdout) => resolve(error ? '' : stdout));
  });
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  const sum = (of: number): number =>
    rows
      .filter(([, parent]) => parent === of)
      .reduce((total, [child = 0, , kib = 0]) => total + kib * 1024 + sum(child), 0);
  const own = rows.find(([id]) => id === pid);
  return own ? (own[2] ?? 0) * 1024 + sum(pid) : undefined;
}
