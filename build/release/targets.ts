/** A platform that an executable is built for. */
export interface Target {
  /** As in the names of release files: `bpbroker-linux-x64`. */
  readonly name: string;
  /** Bun's name for it, for `--target`. */
  readonly bun: string;
  /** In the terms of `process.platform` and `process.arch`. */
  readonly platform: NodeJS.Platform;
  readonly arch: NodeJS.Architecture;
  /** The C library, on Linux only. */
  readonly libc?: 'glibc' | 'musl';
  /** Runs on processors without AVX2. */
  readonly baseline?: true;
}

export const targets: readonly Target[] = [
  { name: 'linux-x64', bun: 'bun-linux-x64', platform: 'linux', arch: 'x64', libc: 'glibc' },
  {
    name: 'linux-x64-baseline',
    bun: 'bun-linux-x64-baseline',
    platform: 'linux',
    arch: 'x64',
    libc: 'glibc',
    baseline: true,
  },
  { name: 'linux-x64-musl', bun: 'bun-linux-x64-musl', platform: 'linux', arch: 'x64', libc: 'musl' },
  {
    name: 'linux-x64-musl-baseline',
    bun: 'bun-linux-x64-musl-baseline',
    platform: 'linux',
    arch: 'x64',
    libc: 'musl',
    baseline: true,
  },
  { name: 'linux-arm64', bun: 'bun-linux-arm64', platform: 'linux', arch: 'arm64', libc: 'glibc' },
  { name: 'linux-arm64-musl', bun: 'bun-linux-arm64-musl', platform: 'linux', arch: 'arm64', libc: 'musl' },
  { name: 'darwin-x64', bun: 'bun-darwin-x64', platform: 'darwin', arch: 'x64' },
  { name: 'darwin-arm64', bun: 'bun-darwin-arm64', platform: 'darwin', arch: 'arm64' },
  { name: 'windows-x64', bun: 'bun-windows-x64', platform: 'win32', arch: 'x64' },
  { name: 'windows-arm64', bun: 'bun-windows-arm64', platform: 'win32', arch: 'arm64' },
];

/** An executable's file name on a target: `bpbroker`, `bpbroker.exe`. */
export function executableName(program: string, platform: NodeJS.Platform = process.platform): string {
  return platform === 'win32' ? `${program}.exe` : program;
}

/** The name of a product's archive for a target in a release: `bpbroker-1.0.0-linux-x64-musl.tar.gz`. */
export function archiveName(product: string, { name, platform }: Target, version: string): string {
  return `${product}-${version}-${name}.${platform === 'win32' ? 'zip' : 'tar.gz'}`;
}

/** Whether this host can run programs of a target: its own platform, and its own C library. */
export function runsHere({ platform, arch, libc }: Target): boolean {
  if (platform !== process.platform || arch !== process.arch) return false;
  return libc === undefined || (libc === 'glibc') === isGlibc();
}

function isGlibc(): boolean {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime !== undefined;
}
