import { spawnSync } from 'node:child_process';

/** Whether a process exists and has not ended; one that nobody has waited for has. Needs `ps`. */
export function isRunning(pid: number): boolean {
  const state = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
  return state !== '' && !state.startsWith('Z');
}
