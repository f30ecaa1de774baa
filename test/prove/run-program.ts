import { spawn } from 'node:child_process';
import { cleanEnv } from '../support/programs/clean-env.ts';

export interface Ended {
  /** Null: it did not end in time and was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, with a home beside `dir`; kills it after `timeoutMs`. */
export async function runProgram(
  [file = '', ...args]: readonly string[],
  dir: string,
  env: Readonly<Record<string, string>> = {},
  timeoutMs = 20_000,
): Promise<Ended> {
  const child = spawn(file, args, { env: cleanEnv(`${dir}.home`, env), stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (bytes) => (stdout += String(bytes)));
  child.stderr.on('data', (bytes) => (stderr += String(bytes)));
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  return { code, stdout, stderr };
}
