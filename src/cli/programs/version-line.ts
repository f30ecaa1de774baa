import { VERSION } from '../../protocol/version.ts';
import { runtimeName } from '../../runtime/name.ts';

// The build of a release defines these (build/executable.ts); elsewhere they do not exist.
declare const BPBROKER_COMMIT: string;
declare const BPBROKER_TARGET: string;

/** The running program. `commit` is that of the sources; only the executables of a release know it. */
export interface Build {
  readonly version: string;
  readonly commit: string | undefined;
  /** Such as `bun 1.4.5`. */
  readonly runtime: string;
  /** Such as `linux-x64-musl`; without the C library if it is not an executable. */
  readonly target: string;
}

export const build: Build = {
  version: VERSION,
  commit: typeof BPBROKER_COMMIT === 'string' ? BPBROKER_COMMIT : undefined,
  runtime: runtimeName,
  target:
    typeof BPBROKER_TARGET === 'string'
      ? BPBROKER_TARGET
      : `${process.platform.replace('win32', 'windows')}-${process.arch}`,
};

/**
 * The output of `--version`: `bpbroker 1.0.0 (commit 1a2b3c4d5e6f, bun 1.4.5, linux-x64)`. Only the
 * executable of a release knows its commit and the whole name of its target, such as `linux-x64-musl`.
 */
export function versionLine(program: string): string {
  const { version, commit, runtime, target } = build;
  const parts = [...(commit === undefined ? [] : [`commit ${commit}`]), runtime, target];
  return `${program} ${version} (${parts.join(', ')})`;
}
