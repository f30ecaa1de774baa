import type { Command } from '../command.ts';
import { completionCommands } from '../completion/commands.ts';

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

/**
 * The command `help`, below which is a topic for each command of the program: `help service get`. Neither it nor its topics
 * do anything by themselves; the program shows the help of what they name.
 * @param root gives all commands of the program.
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

/** The words of the command that a command line asks help for, where its words begin with `help`. */
export function topicOf(path: readonly string[]): readonly string[] {
  return path[0] === 'help' ? path.slice(1) : path;
}

/** The command that words lead to. */
export function commandAt(root: Command, path: readonly string[]): Command {
  return path.reduce<Command>((command, word) => command.subCommands?.[word] ?? command, root);
}
