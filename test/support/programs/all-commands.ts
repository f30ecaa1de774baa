import { brokerRoot } from '../../../src/cli/programs/broker-root.ts';
import { clientRoot } from '../../../src/cli/programs/client-root.ts';
import type { Command } from '../../../src/cli/command.ts';
import { wholeProgram } from '../../../src/cli/programs/whole-program.ts';

/** A command of one of the programs, and the words that lead to it. */
export interface VisibleCommand {
  readonly program: 'bpbroker' | 'bpclient';
  readonly path: readonly string[];
  readonly command: Command;
}

/** Every command that people see, of both programs, the programs themselves included. */
export function allCommands(): VisibleCommand[] {
  const roots = [
    ['bpbroker', brokerRoot],
    ['bpclient', clientRoot],
  ] as const;
  return roots.flatMap(([program, own]) => {
    const visit = (command: Command, path: readonly string[]): VisibleCommand[] => {
      if (command.hidden) return [];
      // The topics of help are the commands once more.
      const below = path[0] === 'help' ? [] : Object.entries(command.subCommands ?? {});
      return [{ program, path, command }, ...below.flatMap(([name, sub]) => visit(sub, [...path, name]))];
    };
    return visit(wholeProgram(program, own), []);
  });
}
