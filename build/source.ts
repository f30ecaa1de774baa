import { existsSync } from 'node:fs';
import path from 'node:path';
import { capture } from './process.ts';
import { root } from './root.ts';

/** The sources of a release. */
export interface Source {
  /** Such as `1a2b3c4d5e6f`, with `-dirty` when files differ from it; nothing outside a clone. */
  readonly commit: string | undefined;
  /** The time of files in archives, in Unix seconds; even, because a zip counts in twos. */
  readonly time: number;
}

/** The first moment that a zip archive can express. */
const earliest = Date.UTC(1980, 0, 2) / 1000;

/**
 * The commit of `project`, and its time. `SOURCE_DATE_EPOCH` sets another time, also without git. Without
 * either, the year is 1980.
 */
export async function readSource(
  project: string = root,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Source> {
  const given = env['SOURCE_DATE_EPOCH'];
  if (!existsSync(path.join(project, '.git'))) return { commit: undefined, time: even(Number(given)) };
  const git = (...args: string[]): Promise<string> => capture(['git', ...args], { cwd: project });
  const head = (await git('rev-parse', '--short=12', 'HEAD')).trim();
  const changed = (await git('status', '--porcelain')) !== '';
  const time = given === undefined ? await git('log', '-1', '--format=%ct') : given;
  return { commit: changed ? `${head}-dirty` : head, time: even(Number(time)) };
}

function even(seconds: number): number {
  return Number.isFinite(seconds) && seconds > earliest ? seconds - (seconds % 2) : earliest;
}
