import type { Command } from '../command.ts';
import { completionCommands } from '../completion/commands.ts';

/** All commands of a program: its own, and those of every program. */
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

/**
 * The command `help`, with a topic for each command of the program: `help service get`. Neither it nor its
 * topics run anything; the program shows the help of the command that they name.
 * @param root returns all commands of the program.
 */
function helpCommand(root: () => Command): Command {
  return {
    description: 'Show the help of a command',
    examples: ['help', 'help service get'],
    get subCommands() {
      return topicsOf(root());
    },
  };
}

function topicsOf({ subCommands = {} }: Command): Readonly<Record<string, Command>> {
  return Object.fromEntries(
    Object.entries(subCommands).map(([name, command]): [string, Command] => {
      const { description, hidden, expanded } = command;
      const below = name !== 'help' && command.subCommands ? { subCommands: topicsOf(command) } : {};
      return [name, { description, ...(hidden && { hidden }), ...(expanded && { expanded }), ...below }];
    }),
  );
}

/** The words of the command whose help is asked for, when the command line begins with `help`. */
export function topicOf(path: readonly string[]): readonly string[] {
  return path[0] === 'help' ? path.slice(1) : path;
}

/** The command at the end of a path of words. */
export function commandAt(root: Command, path: readonly string[]): Command {
  return path.reduce<Command>((command, word) => command.subCommands?.[word] ?? command, root);
}
