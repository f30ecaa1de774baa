import { readFileSync } from 'node:fs';
import type { Shell } from './shells.ts';

const files: Readonly<Record<Shell, string>> = {
  bash: './in-bash.bash',
  zsh: './in-zsh.zsh',
  fish: './in-fish.fish',
  powershell: './in-powershell.ps1',
};

/**
 * The script that makes a shell call `PROGRAM complete` to complete a command line. The scripts are beside
 * this file, also inside an executable.
 */
export function scriptFor(shell: Shell, program: string): string {
  return readFileSync(new URL(files[shell], import.meta.url), 'utf8').replaceAll('PROGRAM', program);
}
