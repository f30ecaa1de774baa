import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** The variable that marks the processes of one run. Tests hand it on to all that they start. */
export const RUN_VARIABLE = 'BP_TEST_RUN';

/** The longest time that the last processes of a run have to end, in milliseconds. */
const END_MS = 15_000;
const LOOK_EVERY_MS = 100;

/** A process that goes on after its run. */
export interface Left {
  readonly pid: number;
  readonly command: string;
}

/**
 * The processes of a run that have not ended some seconds after it: a program that outlives its test takes the
 * processor from all others. Only Linux says which they are; elsewhere the list is empty.
 */
export async function leftBehind(run: string, withinMs: number = END_MS): Promise<Left[]> {
  const until = performance.now() + withinMs;
  for (;;) {
    const left = marked(run);
    if (left.length === 0 || performance.now() > until) return left;
    await sleep(LOOK_EVERY_MS);
  }
}

function marked(run: string): Left[] {
  if (!existsSync('/proc/self/environ')) return [];
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.flatMap((pid) => {
    const variables = contentOf(pid, 'environ').split('\0');
    if (!variables.includes(`${RUN_VARIABLE}=${run}`)) return [];
    return [{ pid: Number(pid), command: contentOf(pid, 'cmdline').replaceAll('\0', ' ').trim() }];
  });
}

/** Empty for a process that has just ended, and for one of another user. */
function contentOf(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
