import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { ensureTarget } from '../../../build/executable.ts';
import { capture } from '../../../build/process.ts';
import { root } from '../../../build/root.ts';
import { executableName, type Target, targets } from '../../../build/release/targets.ts';
import { atEnd } from '../cleanup.ts';
import type { Launcher } from './programs.ts';
import { endWine } from '../teardown.ts';
import { tempDir } from '../temp.ts';

/** Executables for other machines than this one, which run here by emulation. */
export interface EmulatedLauncher extends Omit<Launcher, 'name'> {
  readonly name: 'linux-arm64' | 'windows-x64';
}

/** Those that can be used here are built and ready, which takes some seconds; the others say why not. */
export async function emulatedLaunchers(): Promise<readonly EmulatedLauncher[]> {
  return [await arm64(), await windows()];
}

function targetNamed(name: EmulatedLauncher['name']): Target {
  const target = targets.find((one) => one.name === name);
  if (!target) throw new Error(`build/release/targets.ts has no ${name}`);
  return target;
}

async function launcher(
  name: EmulatedLauncher['name'],
  hindrance: string | undefined,
  prepare: (dir: string) => Promise<readonly string[]>,
): Promise<EmulatedLauncher> {
  if (hindrance) return { name, bpbroker: [], bpclient: [], version: '', available: hindrance };
  const target = targetNamed(name);
  const dir = await ensureTarget(target);
  const emulator = await prepare(dir);
  const command = (program: string): string[] => [
    ...emulator,
    path.join(dir, executableName(program, target.platform)),
  ];
  return {
    name,
    bpbroker: command('bpbroker'),
    bpclient: command('bpclient'),
    version: '',
    available: true,
  };
}

const qemu = '/usr/bin/qemu-aarch64-static';
/** The head of an executable for 64-bit ARM, and which of its bits count, as the kernel's binfmt_misc reads them. */
const magic = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
const mask = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;
/**
 * The broker starts its own file for scripts, so the kernel has to know what runs it. A user namespace has a list of its
 * own (Linux 6.7 or later): nothing on this machine changes.
 */
const register = `set -e
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf %s ':arm64:M::${magic}:${mask}:${qemu}:F' > /proc/sys/fs/binfmt_misc/register
exec "$@"`;
const arm64Command = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', register, 'sh'];

function arm64(): Promise<EmulatedLauncher> {
  const missing = [qemu, '/lib/aarch64-linux-gnu/libc.so.6'].find((file) => !existsSync(file));
  const [unshare = '', ...words] = arm64Command;
  const hindrance =
    (missing && `${missing} is missing (Debian: qemu-user-static, libc6:arm64)`) ??
    (spawnSync(unshare, [...words, 'true']).status === 0
      ? undefined
      : 'cannot register an emulator in a user namespace (Linux 6.7 or later)');
  return launcher('linux-arm64', hindrance, async () => arm64Command);
}

const wine = '/usr/lib/wine/wine64';
const wineserver = '/usr/lib/wine/wineserver64';
const compiler = 'x86_64-w64-mingw32-gcc-win32';

function windows(): Promise<EmulatedLauncher> {
  const hindrance =
    !existsSync(wine) || spawnSync(compiler, ['--version']).error
      ? `${wine} or ${compiler} is missing (Debian: wine64, gcc-mingw-w64-x86-64-win32)`
      : undefined;
  return launcher('windows-x64', hindrance, async (dir) => {
    await addRandomSource(dir);
    const prefix = path.join(tempDir(), 'wine');
    // Wine takes the bytes of arguments for text of the locale, while on Windows they are text.
    const env = ['env', `WINEPREFIX=${prefix}`, 'WINEDEBUG=-all', 'LC_ALL=C.UTF-8'];
    atEnd(() => endWine(wineserver, { WINEPREFIX: prefix, WINEDEBUG: '-all' }));
    // The first run makes the folder that stands for the machine.
    await capture([...env, wine, path.join(dir, 'bpclient.exe'), '--version']);
    return [...env, wine];
  });
}

/** Wine 8 lacks the one function of `bcryptprimitives.dll`, which every Windows since 7 has. */
async function addRandomSource(dir: string): Promise<void> {
  const built = path.join(tempDir(), 'bcryptprimitives.dll');
  const source = path.join(root, 'test', 'support', 'bcryptprimitives.c');
  await capture([compiler, '-shared', '-O2', '-s', '-o', built, source, '-ladvapi32']);
  mkdirSync(dir, { recursive: true });
  copyFileSync(built, path.join(dir, 'bcryptprimitives.dll'));
}
