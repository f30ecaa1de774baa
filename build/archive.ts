import { spawn } from 'node:child_process';
import { chmodSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { capture } from './process.ts';

/**
 * Packs the folder `dir` under its own name into `archive`, a `.tar.gz` or a `.zip`. Equal contents give equal bytes:
 * names are sorted, every file bears `time` (even Unix seconds) and no owner. `programs` are executable, other files are not.
 * Needs GNU tar and gzip, or zip, on this machine.
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
  await (archive.endsWith('.zip') ? zip(archive, dir, files) : tar(archive, dir, time));
}

async function tar(archive: string, dir: string, time: number): Promise<void> {
  const fixed = ['--format=ustar', '--sort=name', '--owner=0', '--group=0', '--numeric-owner'];
  const command = ['tar', '--create', '--use-compress-program=gzip -n', ...fixed, `--mtime=@${time}`];
  await capture([...command, `--file=${archive}`, '-C', path.dirname(dir), path.basename(dir)]);
}

/** A zip has local times, so the zone is part of what is fixed; `-X` leaves owners out, `-D` folders. */
async function zip(archive: string, dir: string, files: readonly string[]): Promise<void> {
  const child = spawn('zip', ['-q', '-X', '-D', '-@', archive], {
    cwd: path.dirname(dir),
    env: { ...process.env, TZ: 'UTC', ZIPOPT: '', ZIP: '' },
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  child.stdin.end(files.map((file) => `${path.basename(dir)}/${file}\n`).join(''));
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`zip ended with ${code}`))));
  });
}
