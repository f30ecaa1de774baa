import { BrokerError } from '../protocol/errors.ts';
import { describeError } from '../protocol/system-errors.ts';
import type { Command } from './command.ts';
import { completionCommands } from './completion/commands.ts';
import { parseCommandLine } from './parse.ts';
import { isTerminal, writeError, writeOut } from './terminal.ts';

/**
 * Runs a program: reads its command line, does the command, and sets the exit code. A failure is one line on standard
 * error, `Fatal error: MESSAGE` (contract, section 2).
 */
export async function main(program: string, root: Command, argv: readonly string[]): Promise<never> {
  // Everything has been written by then, so nothing is lost by not waiting for idle connections to close.
  process.exit(await exitCodeOf(program, root, argv));
}

async function exitCodeOf(program: string, root: Command, argv: readonly string[]): Promise<number> {
  try {
    return await dispatch(program, root, argv);
  } catch (error) {
    writeError(`Fatal error: ${describeError(error)}\n`);
    return error instanceof BrokerError ? error.exitCode : 1;
  }
}

async function dispatch(program: string, own: Command, argv: readonly string[]): Promise<number> {
  const root: Command = {
    ...own,
    subCommands: { ...own.subCommands, ...completionCommands(program, () => root) },
  };
  const { path, command, args } = parseCommandLine(argv, root);
  if (args.flag('version')) {
    const { versionLine } = await import('./version-line.ts');
    writeOut(`${versionLine(program)}\n`);
    return 0;
  }
  if (args.flag('help') || !command.load) {
    const { renderHelp } = await import('./usage.ts');
    const asked = args.flag('help');
    const help = await renderHelp(
      program,
      path,
      command,
      (await isTerminal(asked ? 1 : 2)) && !process.env['NO_COLOR'],
    );
    (asked ? writeOut : writeError)(help);
    return asked ? 0 : 2;
  }
  const { run } = await command.load();
  return (await run(args)) ?? 0;
}
