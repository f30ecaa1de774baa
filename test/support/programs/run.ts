import { spawn } from 'node:child_process';

export interface RunOptions {
  /** The whole environment; default: this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Given on stdin, which is closed after it. */
  readonly input?: string;
  readonly cwd?: string;
  /** Default 30,000. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** Absent when a signal ended it. */
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end.
 * @throws Error with what it printed when it has not ended by the timeout (it is killed), or cannot be started.
 */
export function run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { env, input = '', cwd, timeoutMs = 30_000 } = options;
  const [file = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'pipe', ...(env && { env }), ...(cwd && { cwd }) });
    let stdout = '';
    let stderr = '';
    let late = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
      // A grandchild may hold the pipes open for longer than anyone should wait.
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutMs);
    // A program may end without reading its input.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (!late) resolve({ code: code ?? undefined, signal: signal ?? undefined, stdout, stderr });
      else {
        const printed = `stdout: ${stdout}\nstderr: ${stderr}`;
        reject(new Error(`${command.join(' ')} had not ended after ${timeoutMs} ms\n${printed}`));
      }
    });
  });
}
