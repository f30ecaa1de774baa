import { VERSION } from '../protocol/version.ts';
import { runtimeName } from '../runtime/name.ts';

// What the build of a release fills in (build/executable.ts); elsewhere there is no such thing.
declare const BPBROKER_COMMIT: string;
declare const BPBROKER_TARGET: string;

/**
 * What `--version` prints: `bpbroker 1.0.0 (commit 1a2b3c4d5e6f, bun 1.4.5, linux-x64)`. Only the executable of a release
 * knows its commit and the whole name of its target, such as `linux-x64-musl`.
 */
export function versionLine(program: string): string {
  const commit = typeof BPBROKER_COMMIT === 'string' ? [`commit ${BPBROKER_COMMIT}`] : [];
  const target =
    typeof BPBROKER_TARGET === 'string'
      ? BPBROKER_TARGET
      : `${process.platform.replace('win32', 'windows')}-${process.arch}`;
  return `${program} ${VERSION} (${[...commit, runtimeName, target].join(', ')})`;
}
