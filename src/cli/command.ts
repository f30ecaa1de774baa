import type { OptionName } from './options.ts';
import type { Arguments } from './parse.ts';

/** One command, or a group of commands. */
export interface Command {
  readonly description: string;
  /** The options it takes; `help` besides. */
  readonly options?: readonly OptionName[];
  /** Those of them that must be given. */
  readonly required?: readonly OptionName[];
  /** Command lines, without the program's name, that help shows. */
  readonly examples?: readonly string[];
  readonly subCommands?: Readonly<Record<string, Command>>;
  /** Loads what the command does: only the one that runs is loaded. */
  readonly load?: () => Promise<{ run: Run }>;
}

/**
 * What a command does. It writes its result to standard output and throws BrokerError on failure.
 * @returns the exit code, where it is not 0.
 */
export type Run = (args: Arguments) => Promise<number | void>;
