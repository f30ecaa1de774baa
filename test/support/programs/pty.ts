import { run, type RunOptions, type RunResult } from './run.ts';

/** Why nothing can be run on a terminal here, for a test's `skip`. */
export const ptyProblem: string | false = await run(['script', '--version']).then(
  ({ code }) => (code === 0 ? false : "needs the program 'script'"),
  () => "needs the program 'script'" as const,
);

/** Runs a program on a terminal of its own; what it prints, on standard error too, is `stdout`. */
export function runOnTerminal(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const line = command.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');
  return run(['script', '--quiet', '--return', '--command', line, '/dev/null'], options);
}
