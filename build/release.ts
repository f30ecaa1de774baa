import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pack } from './archive.ts';
import { licenceTexts } from './bundled.ts';
import { buildExecutable, entryOf, programs } from './executable.ts';
import { projectVersion, root } from './root.ts';
import { billOfMaterials } from './sbom.ts';
import { readSource, type Source } from './source.ts';
import { archiveName, executableName, runsHere, type Target, targets } from './targets.ts';

export interface ReleaseOptions {
  /** The folder that receives the files; what stands there goes. */
  readonly out: string;
  readonly source: Source;
  /** Default: all. */
  readonly targets?: readonly Target[];
  /** Hears of each file as it is done. */
  onFile?(file: string): void;
}

/** Installers, which stand beside the archives under names of their own. */
const installers = ['install.sh', 'install.ps1'];

/**
 * Builds the files of a release: an archive for each target, the installers, a bill of materials, and SHA256SUMS over them all.
 * The same sources, dependencies and tools give the same bytes.
 * @throws Error when something does not compile, or a program for this host does not start.
 */
export async function buildRelease(options: ReleaseOptions): Promise<void> {
  const { out, source, targets: chosen = targets, onFile } = options;
  const version = projectVersion();
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const done = (name: string): void => onFile?.(path.join(out, name));
  for (const target of chosen) {
    await buildArchive(target, version, out, source);
    done(archiveName(target, version));
  }
  for (const name of installers) {
    copyFileSync(path.join(root, 'build', 'install', name), path.join(out, name));
    done(name);
  }
  const bom = `bpbroker-${version}.cdx.json`;
  writeFileSync(path.join(out, bom), await billOfMaterials(source.time));
  done(bom);
  writeFileSync(path.join(out, 'SHA256SUMS'), checksums(out));
  done('SHA256SUMS');
}

async function buildArchive(target: Target, version: string, out: string, source: Source): Promise<void> {
  const archive = archiveName(target, version);
  const dir = path.join(out, '.staging', archive.replace(/\.(?:tar\.gz|zip)$/, ''));
  mkdirSync(dir, { recursive: true });
  try {
    for (const program of programs) {
      await buildExecutable({
        entry: entryOf(program),
        outfile: path.join(dir, executableName(program, target.platform)),
        target,
        commit: source.commit,
        ...(runsHere(target) ? { version } : {}),
      });
    }
    for (const name of ['LICENSE', 'README.md']) copyFileSync(path.join(root, name), path.join(dir, name));
    writeFileSync(path.join(dir, 'THIRD-PARTY-LICENSES.txt'), licenceTexts());
    const executables = programs.map((program) => executableName(program, target.platform));
    await pack(path.join(out, archive), dir, { time: source.time, programs: executables });
  } finally {
    rmSync(path.join(out, '.staging'), { recursive: true, force: true });
  }
}

/** Lines as `sha256sum --check` reads them, for every file of a folder. */
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

/** `node build/release.ts [TARGET…]`: all targets, or those named, in `dist/release`. */
if (import.meta.main) {
  await buildRelease({
    out: path.join(root, 'dist', 'release'),
    source: await readSource(),
    targets: chosenTargets(process.argv.slice(2)),
    onFile: report,
  });
}
