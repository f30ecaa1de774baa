import { chmodSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { capture, filter } from '../process.ts';
import { zip } from './zip.ts';

/**
 * Packs the folder `dir` under its own name into `archive`, a `.tar.gz` or a `.zip`. A `.tar.gz` holds a file
 * with several names once: its later names, in sorted order, are hard links to the first. Equal contents give
 * equal bytes: names are sorted, every file has the time `time` (even Unix seconds) and no owner. `programs`
 * are executable, other files are not. Needs GNU tar and libdeflate-gzip on this machine.
 */
export async function pack(
  archive: string,
  dir: string,
  { time, programs }: { readonly time: number; readonly programs: readonly string[] },
): Promise<void> {
  const files = readdirSync(dir).toSorted();
  for (const file of files) {
    chmodSync(path.join(dir, file), programs.includes(file) ? 0o755 : 0o644);
    utimesSync(path.join(dir, file), time, time);
  }
  chmodSync(dir, 0o755);
  rmSync(archive, { force: true });
  if (!archive.endsWith('.zip')) {
    await tar(archive, dir, time);
    return;
  }
  const entries = files.map((file) => {
    const at = path.join(dir, file);
    return { name: `${path.basename(dir)}/${file}`, content: readFileSync(at), mode: statSync(at).mode };
  });
  writeFileSync(archive, await zip(entries, time, gzip));
}

/** Every gunzip and unzip reads the result. It is 3 % smaller than that of gzip and zip, in the same time. */
const compressor = ['libdeflate-gzip', '-12'];
const gzip = (content: Buffer): Promise<Buffer> => filter(compressor, content);

/**
 * Checked before anything is built that could not be packed.
 * @throws Error that names a missing tool and its source.
 */
export async function checkTools(): Promise<void> {
  try {
    await capture(['tar', '--version']);
    await capture(['libdeflate-gzip', '-V']);
  } catch (error) {
    throw new Error(
      'packing needs GNU tar and libdeflate-gzip (Debian: tar, libdeflate-tools; Homebrew: gnu-tar, libdeflate)',
      { cause: error },
    );
  }
}

async function tar(archive: string, dir: string, time: number): Promise<void> {
  const fixed = ['--format=ustar', '--sort=name', '--owner=0', '--group=0', '--numeric-owner'];
  const command = ['tar', '--create', `--use-compress-program=${compressor.join(' ')}`, ...fixed];
  const what = [`--mtime=@${time}`, `--file=${archive}`, '-C', path.dirname(dir), path.basename(dir)];
  await capture([...command, ...what]);
}
