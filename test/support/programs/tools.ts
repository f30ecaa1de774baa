import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/**
 * Why a test cannot run here that needs these programs, for its `skip`; false where all of them are there. `.ci/run` installs
 * every one.
 */
export function lacking(...programs: readonly string[]): string | false {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  const missing = programs.filter(
    (program) => !folders.some((folder) => isExecutable(path.resolve(folder, program))),
  );
  return missing.length > 0 && `needs ${missing.join(', ')}`;
}

/** The error of `access` has one meaning here, whatever its code: this is not a program that can be run. */
function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
