import { BrokerError, messageOf } from '../protocol/errors.ts';
import { VERSION } from '../protocol/version.ts';
import type { Command } from './command.ts';
import { parseCommandLine } from './parse.ts';

/**
 * Runs a program: reads its command line, does the command, and sets the exit code. A failure is one line on standard
 * error, `Fatal error: MESSAGE` (contract, section 2).
 */
export async function main(program: string, root: Command, argv: readonly string[]): Promise<void> {
  // A reader that has seen enough (`| head -1`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  try {
    process.exitCode = await dispatch(program, root, argv);
  } catch (error) {
    process.stderr.write(`Fatal error: ${messageOf(error)}\n`);
    process.exitCode = error instanceof BrokerError ? error.exitCode : 1;
  }
}

async function dispatch(program: string, root: Command, argv: readonly string[]): Promise<number> {
  const { path, command, args } = parseCommandLine(argv, root);
  if (args.flag('version')) {
    process.stdout.write(`${program} ${VERSION}\n`);
    return 0;
  }
  if (args.flag('help') || !command.load) {
    const { renderHelp } = await import('./usage.ts');
    const stream = args.flag('help') ? process.stdout : process.stderr;
    stream.write(await renderHelp(program, path, command, stream.isTTY && !process.env['NO_COLOR']));
    return args.flag('help') ? 0 : 2;
  }
  const { run } = await command.load();
  return (await run(args)) ?? 0;
}
