import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a tool and shows its output. Returns its exit code (128 when a signal ended it). */
export function passThrough(command: readonly string[], options: RunOptions = {}): Promise<number> {
  const [file = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...options, stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 128));
  });
}

/**
 * Runs a tool with all its output in a file, which is replaced. Returns its exit code (128 when a signal
 * ended it).
 */
export function logTo(file: string, command: readonly string[], options: RunOptions = {}): Promise<number> {
  const [program = '', ...args] = command;
  const log = openSync(file, 'w');
  return new Promise<number>((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', log, log] });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 128));
  }).finally(() => closeSync(log));
}

/**
 * Runs a tool quietly. Returns its standard output.
 * @throws Error with all its output when it fails.
 */
export function capture(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const [file = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let all = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      all += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      all += text;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${command.join(' ')} ended with ${code ?? signal}:\n${all}`));
    });
  });
}

/**
 * Returns the output of a tool for `input` on its standard input.
 * @throws Error with its output when it fails.
 */
export function filter(command: readonly string[], input: Buffer): Promise<Buffer> {
  const [file = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const chunks: Buffer[] = [];
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.once('error', reject);
    // The tool ended before it had read everything. Its exit tells why.
    child.stdin.on('error', () => undefined);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(Buffer.concat(chunks));
      else reject(new Error(`${command.join(' ')} ended with ${code ?? signal}:\n${said}`));
    });
    child.stdin.end(input);
  });
}
