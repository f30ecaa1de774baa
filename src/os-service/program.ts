import path from 'node:path';
import type { Home } from '../config/paths.ts';
import { BrokerError } from '../protocol/errors.ts';
import { unfitToRun } from './files/safe-paths.ts';
import type { ServiceRecord } from './record.ts';
import type { ServiceSpec } from './service.ts';
import type { Step, Steps } from './step.ts';
import type { System } from './system.ts';

/** The command that runs this bpbroker, so that a service can repeat it. */
export interface OwnProgram {
  /** Absolute path of the executable, or of the runtime. */
  readonly file: string;
  /** The arguments of the runtime: its options and the path of our own script. Empty for an executable. */
  readonly args: readonly string[];
  readonly version: string;
  /**
   * Why it is not the broker under its present name, so that a service runs a copy; absent: it is the broker.
   */
  readonly misnamed?: string;
}

/**
 * Chooses the program of the service. The executable itself is used if only the administrator can replace it,
 * it still exists after the next boot, and it is the broker by its name. Otherwise it is a copy in the
 * broker's own tree, under a name that is free.
 * @throws BrokerError `usage` when bpbroker runs on a runtime from an unsuitable place, which cannot be
 * copied.
 */
export async function serviceProgram(
  system: System,
  home: Home,
  own: OwnProgram,
): Promise<Pick<ServiceSpec, 'program' | 'copyOf' | 'copy'>> {
  const files = [own.file, ...own.args.filter((word) => path.isAbsolute(word))];
  const reasons = await Promise.all(files.map((file) => unfitToRun(system, file)));
  const unfit = own.misnamed ?? oddPath(system, own.file) ?? reasons.find((reason) => reason !== undefined);
  if (unfit === undefined) return { program: [own.file, ...own.args] };
  if (own.args.length > 0) {
    throw new BrokerError(
      'usage',
      `${unfit}; install bpbroker for the whole machine (npm install -g, as root), or use the executable, which is copied`,
    );
  }
  const windows = system.platform === 'win32';
  const join = windows ? path.win32.join : path.posix.join;
  const copy = join(home.root, 'bin', windows ? 'bpbroker-service.exe' : 'bpbroker-service');
  const odd = oddPath(system, copy);
  if (odd !== undefined) throw new BrokerError('usage', `Invalid BPBROKER_HOME: ${odd}`);
  return { program: [copy], copy, ...(own.file !== copy && { copyOf: own.file }) };
}

/** systemd refuses a program with these in its path, and they cannot be escaped. */
function oddPath({ platform }: System, file: string): string | undefined {
  const odd = platform === 'win32' ? undefined : /["'\\$]/.exec(file)?.[0];
  return odd && `${file} has ${odd} in it, which the path of a service's program cannot have`;
}

/** Removes the copy. A dry run does not report its folder, which is not empty yet. */
export function removeCopySteps(steps: Steps, { copy }: ServiceRecord): Step[] {
  if (copy === undefined) return [];
  const paths = copy.includes('\\') ? path.win32 : path.posix;
  return [steps.remove(copy), steps.removeEmpty(paths.dirname(copy))];
}

export function copySteps(steps: Steps, { copyOf, program: [file = ''] }: ServiceSpec): Step[] {
  if (copyOf === undefined) return [];
  const paths = file.includes('\\') ? path.win32 : path.posix;
  return [steps.folder(paths.dirname(file), 0o755), steps.copy(copyOf, file)];
}
