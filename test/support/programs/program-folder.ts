import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Launcher } from './programs.ts';
import { tempDir } from '../temp.ts';

/** A folder for the PATH of scripts, in which `bpbroker` and `bpclient` are the programs under test, and `extra` others. */
export function programFolder(
  { bpbroker, bpclient }: Launcher,
  extra: Readonly<Record<string, readonly string[]>> = {},
): string {
  const dir = tempDir();
  for (const [name, command] of Object.entries({ bpbroker, bpclient, ...extra })) {
    const file = path.join(dir, name);
    const words = command.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');
    writeFileSync(file, `#!/bin/sh\nexec ${words} "$@"\n`);
    chmodSync(file, 0o755);
  }
  return dir;
}
