import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pack } from '../../../build/release/archive.ts';
import { type Program, products } from '../../../build/executable.ts';
import { root } from '../../../build/root.ts';
import type { SigningKey } from '../../../build/release/sign.ts';
import { archiveName, runsHere, type Target, targets } from '../../../build/release/targets.ts';
import { serveFiles } from '../../support/network/file-server.ts';
import { run, type RunResult } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';

export const script: string = path.join(root, 'build', 'install', 'install.sh');
export const isRoot: boolean = process.getuid?.() === 0;

/** The builds for this host. */
export const hosts: readonly Target[] = targets.filter((target) => runsHere(target) && !target.baseline);
export const host: Target = hosts[0] ?? targets[0] ?? assert.fail();

/** Every shell that the installer is for. */
export const shells: Readonly<Record<string, readonly string[]>> = {
  dash: ['/bin/dash'],
  'busybox sh': ['/bin/busybox', 'sh'],
  bash: ['/bin/bash'],
};

/** What tests of the installer run: what packs a release, each of the shells, a download, and what verifies. */
export const programsForInstalls: readonly string[] = [
  'tar',
  'libdeflate-gzip',
  'gzip',
  'bash',
  'dash',
  'busybox',
  'curl',
  'openssl',
  'ssh-keygen',
  'sha256sum',
];

/** What the installer needs besides a way to download and to verify. */
export const tools: readonly string[] = [
  'tar',
  'gzip',
  'mktemp',
  'rm',
  'grep',
  'head',
  'cut',
  'mkdir',
  'chmod',
  'mv',
  'sed',
  'id',
  'uname',
  'cat',
  'ln',
  'cp',
];

/** Those, and what a machine has besides. */
export const everything: readonly string[] = [
  ...tools,
  'curl',
  'wget',
  'sha256sum',
  'dd',
  'ldd',
  'bash',
  'openssl',
  'ssh-keygen',
];

/** A folder for PATH with these programs alone; a text is the script that stands in for one. */
export function pathOf(names: readonly string[], standIns: Readonly<Record<string, string>> = {}): string {
  const dir = tempDir();
  for (const name of names.filter((one) => !(one in standIns)))
    symlinkSync(whereIs(name), path.join(dir, name));
  for (const [name, text] of Object.entries(standIns))
    writeFileSync(path.join(dir, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return dir;
}

/** The path of a program of this system. */
export function whereIs(name: string): string {
  const found = ['/usr/bin', '/bin', '/usr/local/bin'].find((at) => existsSync(path.join(at, name)));
  assert.ok(found, `${name} is missing`);
  return path.join(found, name);
}

export interface InstallOptions {
  readonly shell?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The installer; default: the one of the sources. */
  readonly installer?: string;
}

export function install(
  args: readonly string[],
  { shell = ['/bin/dash'], env = {}, installer = script }: InstallOptions = {},
): Promise<RunResult> {
  const home = tempDir();
  // The releases of these tests are served by plain HTTP, on the loopback interface.
  const base = {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    TMPDIR: home,
    BPBROKER_INSTALL_PLAIN_HTTP: '1',
  };
  return run([...shell, installer, ...args], { cwd: home, env: { ...base, ...env }, timeoutMs: 120_000 });
}

export interface SmallRelease {
  /** The script that both programs are: `NAME` in it is what they are called by. */
  readonly program?: string;
  readonly target?: Target;
  /** Default: both. */
  readonly only?: Program;
  readonly version?: string;
  readonly key?: SigningKey;
}

/** A release of shell scripts: quick, and each does what the test is about. Returns its folder. */
export async function smallRelease({
  program = 'echo NAME 9.9.9',
  target = host,
  only,
  version = '9.9.9',
  key,
}: SmallRelease = {}): Promise<string> {
  const dir = tempDir();
  const files: string[] = [];
  for (const product of only ? [only] : (['bpbroker', 'bpclient'] as const)) {
    const file = archiveName(product, target, version);
    const folder = path.join(dir, file.replace('.tar.gz', ''));
    mkdirSync(folder);
    const text = `#!/bin/sh\n# ${product}\n${program.replaceAll('NAME', '${0##*/}')}\n`;
    writeFileSync(path.join(folder, product), text);
    for (const name of products[product].slice(1))
      linkSync(path.join(folder, product), path.join(folder, name));
    await pack(path.join(dir, file), folder, { time: 1_700_000_000, programs: products[product] });
    files.push(file);
  }
  const sums = files.map((file) => {
    const hash = createHash('sha256').update(readFileSync(path.join(dir, file)));
    return `${hash.digest('hex')}  ${file}\n`;
  });
  writeFileSync(path.join(dir, 'SHA256SUMS'), sums.join(''));
  if (key) sign(dir, key);
  return dir;
}

/** The address of such a release, served by plain HTTP. */
export async function served(release: SmallRelease = {}): Promise<string> {
  return serveFiles(await smallRelease(release));
}

function sign(release: string, key: SigningKey): void {
  const sums = readFileSync(path.join(release, 'SHA256SUMS'));
  writeFileSync(path.join(release, 'SHA256SUMS.sig'), key.sign(sums));
  writeFileSync(path.join(release, 'SHA256SUMS.sshsig'), key.signForSsh(sums));
}
