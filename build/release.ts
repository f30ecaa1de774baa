import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { checkTools, pack } from './release/archive.ts';
import { licenceTexts } from './executable/bundled.ts';
import { buildProduct, type Program, products } from './executable.ts';
import { installers, writeInstallers } from './release/installers.ts';
import { projectVersion, root } from './root.ts';
import { billOfMaterials } from './release/sbom.ts';
import { readSigningKey, type SigningKey } from './release/sign.ts';
import { readSource, type Source } from './source.ts';
import { archiveName, executableName, runsHere, type Target, targets } from './release/targets.ts';

export interface ReleaseOptions {
  /** The folder that receives the files; its former contents are removed. */
  readonly out: string;
  readonly source: Source;
  /** Default: all. */
  readonly targets?: readonly Target[];
  /**
   * Signs SHA256SUMS; the installers then accept only releases that it has signed. Default: nothing is
   * signed.
   */
  readonly key?: SigningKey | undefined;
  /** Called with each file when it is done. */
  onFile?(file: string): void;
}

/** The largest size of an archive, in bytes. The runtime is nearly all of it, and grows with each version. */
export const maxArchiveBytes = 55_000_000;

/** How many archives are packed at a time. Each takes one processor, for longer than it takes to compile the next. */
const PACKED_AT_A_TIME = 2;

/**
 * Builds the files of a release. For each target, that is an archive of both programs and one of the client
 * alone. Then come the installers, a bill of materials, and SHA256SUMS over them all. With a key, it also
 * makes the signatures. The same sources, dependencies, tools and key give the same bytes.
 * @throws Error when something does not compile, a program for this host does not start, or an archive is too
 * large.
 */
export async function buildRelease(options: ReleaseOptions): Promise<void> {
  const { out, source, targets: chosen = targets, key, onFile } = options;
  const version = projectVersion();
  await checkTools();
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const done = (name: string): void => onFile?.(path.join(out, name));
  const staging = path.join(out, '.staging');
  try {
    const packing: Promise<string>[] = [];
    for (const target of chosen) {
      for (const product of Object.keys(products) as Program[]) {
        const staged = await stage(product, target, { version, staging, commit: source.commit });
        if (packing.length === PACKED_AT_A_TIME) done((await packing.shift()) ?? '');
        const archive = packStaged(staged, out, source.time);
        // It is awaited later, and its failure is thrown there.
        archive.catch(() => undefined);
        packing.push(archive);
      }
    }
    for (const archive of packing) done(await archive);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  writeInstallers(out, key);
  Object.keys(installers).forEach(done);
  const bom = `bpbroker-${version}.cdx.json`;
  writeFileSync(path.join(out, bom), await billOfMaterials(source.time));
  done(bom);
  const sums = Buffer.from(checksums(out));
  const signatures = key && { 'SHA256SUMS.sig': key.sign(sums), 'SHA256SUMS.sshsig': key.signForSsh(sums) };
  for (const [name, content] of Object.entries({ SHA256SUMS: sums, ...signatures })) {
    writeFileSync(path.join(out, name), content);
    done(name);
  }
}

/** What an archive will hold. */
interface Staged {
  readonly archive: string;
  readonly dir: string;
  /** The names of its programs. */
  readonly programs: readonly string[];
}

async function stage(
  product: Program,
  target: Target,
  { version, staging, commit }: { version: string; staging: string; commit: Source['commit'] },
): Promise<Staged> {
  const archive = archiveName(product, target, version);
  const dir = path.join(staging, archive.replace(/\.(?:tar\.gz|zip)$/, ''));
  mkdirSync(dir, { recursive: true });
  const smokeRun = runsHere(target) ? { version } : {};
  await buildProduct(product, dir, { target, commit, ...smokeRun });
  const programs = products[product].map((program) => executableName(program, target.platform));
  // A zip cannot express that two names are one file: install.ps1 makes the second name.
  if (archive.endsWith('.zip')) for (const other of programs.splice(1)) rmSync(path.join(dir, other));
  for (const name of ['LICENSE', 'README.md']) copyFileSync(path.join(root, name), path.join(dir, name));
  writeFileSync(path.join(dir, 'THIRD-PARTY-LICENSES.txt'), licenceTexts());
  return { archive, dir, programs };
}

/** Returns the archive's name. */
async function packStaged({ archive, dir, programs }: Staged, out: string, time: number): Promise<string> {
  await pack(path.join(out, archive), dir, { time, programs });
  rmSync(dir, { recursive: true, force: true });
  const { size } = statSync(path.join(out, archive));
  if (size > maxArchiveBytes)
    throw new Error(`${archive} has ${size} bytes; expected at most ${maxArchiveBytes}`);
  return archive;
}

/** Lines for `sha256sum --check`, one for every file of a folder. */
function checksums(dir: string): string {
  const lines = readdirSync(dir)
    .toSorted()
    .map((name) => {
      const hash = createHash('sha256')
        .update(readFileSync(path.join(dir, name)))
        .digest('hex');
      return `${hash}  ${name}\n`;
    });
  return lines.join('');
}

function report(file: string): void {
  const { size } = statSync(file);
  const amount = size < 1e6 ? `${(size / 1e3).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`;
  process.stdout.write(`${amount.padStart(9)}  ${path.relative(root, file)}\n`);
}

function chosenTargets(names: readonly string[]): readonly Target[] {
  const unknown = names.filter((name) => !targets.some((target) => target.name === name));
  if (unknown.length > 0)
    throw new Error(
      `No target ${unknown.join(', ')}; there are ${targets.map(({ name }) => name).join(', ')}`,
    );
  return targets.filter(({ name }) => names.length === 0 || names.includes(name));
}

interface CommandLine {
  readonly names: readonly string[];
  readonly keyFile: string | undefined;
}

function readCommandLine(args: readonly string[], out: string): CommandLine {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { sign: { type: 'string' } },
    allowPositionals: true,
  });
  if (values.sign === undefined) return { names: positionals, keyFile: undefined };
  // npm runs its script in the project's folder, wherever it was called.
  const byNpm = process.env['npm_lifecycle_event'] === 'build:all';
  const keyFile = path.resolve((byNpm && process.env['INIT_CWD']) || '', values.sign);
  if (values.sign === '' || keyFile.startsWith(`${out}${path.sep}`))
    throw new Error(
      `'${values.sign}' cannot be the key to sign with: ${out} is emptied first; expected a file elsewhere`,
    );
  return { names: positionals, keyFile };
}

async function main(args: readonly string[]): Promise<void> {
  const out = path.join(root, 'dist', 'release');
  const { names, keyFile } = readCommandLine(args, out);
  const key = keyFile === undefined ? undefined : readSigningKey(keyFile);
  await buildRelease({ out, source: await readSource(), targets: chosenTargets(names), key, onFile: report });
  if (key)
    process.stdout.write(
      `Signed with the key whose public half is ${key.openssl} (ssh-ed25519 ${key.ssh})\n`,
    );
}

/** `node build/release.ts [--sign KEYFILE] [TARGET…]`: all targets, or those named, in `dist/release`. */
if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
