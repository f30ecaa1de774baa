import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { launchers } from '../support/programs/programs.ts';
import type { Debian } from '../support/machine/debian.ts';

const executable = launchers.find(({ name }) => name === 'executable');

/** For `skip`: the service is installed from the executable. */
export const executableProblem: string | undefined =
  executable?.available === true ? undefined : (executable?.available ?? 'no executable');

/** The files of this machine that go into a Debian. */
export const programs: { readonly bpbroker: string; readonly bpclient: string } = {
  bpbroker: executable?.bpbroker[0] ?? '',
  bpclient: executable?.bpclient[0] ?? '',
};

/** Runs a client command against the broker in it. */
export function client(debian: Debian, ...args: string[]): Promise<string> {
  return debian.ok(['bpclient', '--quiet', '--bpbroker', '127.0.0.1', ...args]);
}

/** A line of systemd's journal. */
export interface Journaled {
  readonly MESSAGE: string;
  readonly PRIORITY: string;
  readonly _COMM?: string;
  readonly _PID?: string;
}

/** What systemd has of the service so far. It reads what a program writes a little later. */
export async function journal(debian: Debian): Promise<Journaled[]> {
  const lines = await debian.ok(['journalctl', '-u', 'bpbroker', '-o', 'json', '--no-pager']);
  return lines.split('\n').map((line) => JSON.parse(line) as Journaled);
}

/** Every path of it but those that change by themselves, or hold what was logged. */
export function listAll({ root }: Debian): string[] {
  const backups = ['passwd-', 'shadow-', 'group-', 'gshadow-'].map((name) => `etc/${name}`);
  const passing = new Set([
    ...backups,
    'dev',
    'proc',
    'run',
    'sys',
    'tmp',
    'var/log',
    'var/tmp',
    'root/.config',
    'var/lib/systemd',
  ]);
  const found: string[] = [];
  const visit = (dir: string): void => {
    for (const entry of readdirSync(path.join(root, dir), { withFileTypes: true })) {
      const at = path.posix.join(dir, entry.name);
      if (passing.has(at)) continue;
      found.push(at);
      if (entry.isDirectory()) visit(at);
    }
  };
  visit('');
  return found.toSorted();
}

/** Writes an extension's source into it and returns its path there. */
export function writeExtension({ root }: Debian, name: string, source: string, mode = 0o644): string {
  const file = path.posix.join('/root/extensions', name);
  mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
  writeFileSync(path.join(root, file), source, { mode });
  return file;
}

/**
 * Installs and enables an extension while the service is stopped, as its page says, and returns the access
 * key.
 */
export async function enableExtension(
  debian: Debian,
  file: string,
  stop: string[],
  start: string[],
): Promise<string> {
  await debian.ok(stop);
  const said = await debian.ok(['/root/bpbroker', 'install-extension', '--script', file, '--enable']);
  const key = /access key ([0-9a-f]{64})/.exec(said)?.[1];
  assert.ok(key, said);
  await debian.ok(start);
  return key;
}
