import { spawnSync } from 'node:child_process';

/**
 * What ends things when a test has ended. Whatever has ended by itself is done. Only what is still there and
 * will not go is an error, because each of these runs after the tests have reported.
 */

/** Kills a process by its number; one that has gone is done. */
export function killIfThere(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Takes a file system away, also one that is in use; a place where none is mounted is done. */
export function unmount(place: string): void {
  const { status, stderr, error } = spawnSync('umount', ['-l', place], { encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0 && !/not mounted|no mount point/.test(stderr)) {
    throw new Error(`umount ${place}: ${stderr.trim()}`);
  }
}

/** Removes a network namespace; one that has gone is done. */
export function removeNamespace(name: string): void {
  const { status, stderr, error } = spawnSync('ip', ['netns', 'delete', name], { encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0 && !/No such file or directory/.test(stderr)) {
    throw new Error(`ip netns delete ${name}: ${stderr.trim()}`);
  }
}

/** How long Wine's server has to go. It holds files of its prefix, which is removed next. */
const WINE_MS = 15_000;

/** Ends the server of a Wine prefix. `-k` exits with 1 when there is none: it ends by itself some seconds after its last program. */
export function endWine(wineserver: string, env: Readonly<Record<string, string>>): void {
  for (const option of ['-k', '-w']) {
    const { error, status } = spawnSync(wineserver, [option], {
      env: { ...process.env, ...env },
      stdio: 'ignore',
      timeout: WINE_MS,
      killSignal: 'SIGKILL',
    });
    if (error) throw error;
    if (status !== 0 && status !== 1) throw new Error(`${wineserver} ${option} exited with ${status}`);
  }
}
