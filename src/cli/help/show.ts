import type { Command } from '../command.ts';
import { isTerminal, writeError, writeOut } from '../terminal/terminal.ts';
import { renderHelp } from './render.ts';
import { helpWidth } from './width.ts';

/**
 * Shows the help of a command: on standard output when it was asked for, on standard error when a command is
 * missing. Colours are only for terminals, and only without NO_COLOR.
 */
export async function showHelp(
  program: string,
  path: readonly string[],
  command: Command,
  isAsked: boolean,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<void> {
  const onTerminal = await isTerminal(isAsked ? 1 : 2);
  const stream = isAsked ? 'stdout' : 'stderr';
  const columns = onTerminal ? process[stream].columns : undefined;
  const help = await renderHelp(program, path, command, {
    width: helpWidth(env['COLUMNS'], columns),
    colour: onTerminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
  });
  (isAsked ? writeOut : writeError)(help);
}
