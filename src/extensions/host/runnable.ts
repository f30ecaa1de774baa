import { runtime } from '#runtime';
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { noTypeScript } from './typescript.ts';

/** The first bytes of programs that a system runs directly: ELF, and Mach-O in its four forms. */
const MACHINE_CODE = new Set(['7f454c46', 'feedface', 'feedfacf', 'cefaedfe', 'cffaedfe', 'cafebabe']);
const FIRST_BYTES = 512;

/** Says why this program cannot run an extension, as far as its first bytes show; undefined when it can. */
export async function whyNotRunnable(
  file: string,
  kind: 'script' | 'python' | 'executable',
): Promise<string | undefined> {
  if (kind === 'script') return /\.m?ts$/.test(file) && !runtime.runsTypeScript ? noTypeScript() : undefined;
  if (kind !== 'executable' || process.platform === 'win32') return undefined;
  const first = await firstBytes(file);
  if (MACHINE_CODE.has(first.subarray(0, 4).toString('hex'))) return undefined;
  const line = first.toString('utf8').split('\n')[0] ?? '';
  if (!line.startsWith('#!')) {
    return 'it is marked as a program, but begins neither with #! and its interpreter nor as machine code does';
  }
  const [interpreter = ''] = line.slice(2).trim().split(/\s+/);
  if (path.isAbsolute(interpreter) && (await isThere(interpreter))) return undefined;
  return `its first line names the interpreter '${interpreter}', which does not exist`;
}

async function firstBytes(file: string): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(FIRST_BYTES), 0, FIRST_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function isThere(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
