import { runtime } from '#runtime';
import { BrokerError } from '../protocol/errors.ts';
import { fatalJson, fatalText } from '../protocol/formats/fatal-line.ts';
import { describeError } from '../protocol/system-errors.ts';
import type { Command } from './command.ts';
import { logFormatAsked } from './options/log-asked.ts';
import { parseCommandLine } from './options/parse.ts';
import { flushErrors, isTerminal, writeError, writeOut } from './terminal/terminal.ts';
import { commandAt, topicOf, wholeProgram } from './programs/whole-program.ts';

/**
 * Runs a program: reads its command line, runs the command, and sets the exit code. A failure is one line on
 * standard error, `Fatal error: MESSAGE` (contract, section 2), or a line of JSON in a log of such lines.
 */
export async function main(program: string, root: Command, argv: readonly string[]): Promise<never> {
  // Everything has been written by then, so this loses nothing and does not wait for idle connections.
  const code = await exitCodeOf(program, root, argv);
  await flushErrors();
  // An error that nothing handled sets the process's own code.
  runtime.exit(code || Number(process.exitCode ?? 0));
}

async function exitCodeOf(program: string, root: Command, argv: readonly string[]): Promise<number> {
  try {
    return await dispatch(program, root, argv);
  } catch (error) {
    const message = adviseFor(program, error);
    const exitCode = error instanceof BrokerError ? error.exitCode : 1;
    writeError(`${(await isJsonLog(argv)) ? fatalJson(message, exitCode) : fatalText(message)}\n`);
    return exitCode;
  }
}

async function isJsonLog(argv: readonly string[]): Promise<boolean> {
  const format = logFormatAsked(argv);
  return format === 'json' || (format === 'auto' && !(await isTerminal(2)));
}

/** The message of an error. The command line that it advises is one of the program that was called. */
function adviseFor(program: string, error: unknown): string {
  const message = describeError(error);
  if (!(error instanceof BrokerError) || error.advice === undefined) return message;
  const { advice } = error;
  return message.replaceAll(`bpbroker ${advice}`, () => `${program} ${advice}`);
}

async function dispatch(program: string, own: Command, argv: readonly string[]): Promise<number> {
  const root = wholeProgram(program, own);
  const { path, command, args } = parseCommandLine(argv, root);
  if (args.flag('version')) {
    const { versionLine } = await import('./programs/version-line.ts');
    writeOut(`${versionLine(program)}\n`);
    return 0;
  }
  const isAsked = args.flag('help') || path[0] === 'help';
  if (isAsked || !command.load) {
    const { showHelp } = await import('./help/show.ts');
    const topic = topicOf(path);
    await showHelp(program, topic, commandAt(root, topic), isAsked);
    return isAsked ? 0 : 2;
  }
  const { run } = await command.load();
  return (await run(args, program)) ?? 0;
}
