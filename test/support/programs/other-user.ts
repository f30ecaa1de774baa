import { chmodSync, chownSync } from 'node:fs';
import { tempDir } from '../temp.ts';
import { run } from './run.ts';

/** A uid that no account has, as containers use. */
export const NOBODY = 54_321;

/** Why nothing can be run as another user here, for a test's `skip`. */
export const otherUserProblem: string | false =
  process.getuid?.() === 0
    ? await run(['setpriv', '--version']).then(
        ({ code }) => (code === 0 ? false : "needs the program 'setpriv'"),
        () => "needs the program 'setpriv'" as const,
      )
    : 'needs root';

/** A command that runs another as a user without an account and without special rights. */
export function asNobody(command: readonly string[]): string[] {
  return ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...command];
}

/** A new folder of that user's. */
export function nobodysDir(): string {
  const dir = tempDir();
  chownSync(dir, NOBODY, NOBODY);
  chmodSync(dir, 0o700);
  return dir;
}
