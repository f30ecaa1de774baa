import type { Command } from './command.ts';
import { completionCommands } from './completion/commands.ts';
import { helpCommand } from './help/command.ts';

/** All commands of a program: its own, and those that every program has. */
export function wholeProgram(program: string, own: Command): Command {
  const root: Command = {
    ...own,
    subCommands: {
      ...own.subCommands,
      ...completionCommands(program, () => root),
      help: helpCommand(() => root),
    },
  };
  return root;
}
