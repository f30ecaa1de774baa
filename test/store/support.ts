import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JsonObject } from '../../src/protocol/formats/data.ts';
import { readStored } from '../../src/store/file/document/document.ts';
import { type FileStore, type FileStoreOptions, openFileStore } from '../../src/store/file/file-store.ts';
import { withoutSpare } from '../../src/store/file/journal/frames.ts';

export { create, IP, put, remove, take, TS } from '../../src/store/contract/mutations.ts';

// Scripts that tests start import this file too, so it must not need a test runner.

export const OPTIONS: JsonObject = { api: { listen_port: 20443 }, services: { _access_key: 'secret' } };

export type OpenOptions = Partial<Omit<FileStoreOptions, 'file' | 'document'>>;

/** Opens the registry in `dir` as the broker does: reads the file, then opens it. */
export async function openIn(dir: string, options: OpenOptions = {}): Promise<FileStore> {
  const file = path.join(dir, 'bpbroker.json');
  return await openFileStore({
    file,
    document: await readStored(file),
    options: () => OPTIONS,
    ...options,
  });
}

/** Every file of a folder with its content, to tell whether anything was touched. */
export function contentOf(dir: string): Record<string, string> {
  const files = readdirSync(dir).toSorted();
  return Object.fromEntries(
    files
      .filter((name) => statSync(path.join(dir, name)).isFile())
      .map((name) => [name, readFileSync(path.join(dir, name), 'latin1')]),
  );
}

/** The journals in a folder, the oldest first. */
export function journalsIn(dir: string): string[] {
  return readdirSync(dir)
    .filter((name) => /\.journal\.\d{16}$/.test(name))
    .toSorted()
    .map((name) => path.join(dir, name));
}

/** Leaves in a journal, after its last frame, what a crash may leave of a write. */
export function tear(journal: string, text: string): void {
  const file = readFileSync(journal);
  const frames = withoutSpare(file);
  const rest = file.subarray(frames.length + text.length);
  writeFileSync(journal, Buffer.concat([frames, Buffer.from(text), rest]));
}

/** Starts a script of this folder under the running runtime, or under `wrapper` (such as strace). */
export function startScript(
  script: string,
  args: readonly string[],
  wrapper: readonly string[] = [],
): ChildProcess {
  const file = fileURLToPath(new URL(script + path.extname(import.meta.url), import.meta.url));
  const run = 'Deno' in globalThis ? ['run', '-A', file] : [file];
  const [command = '', ...rest] = [...wrapper, process.execPath, ...run, ...args];
  return spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What a process printed, once it has ended. */
export async function outputOf(
  child: ChildProcess,
): Promise<{ stdout: string; stderr: string; code: number | null; signal: string | null }> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (bytes) => (stdout += String(bytes)));
  child.stderr?.on('data', (bytes) => (stderr += String(bytes)));
  return await new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ stdout, stderr, code, signal }));
  });
}
