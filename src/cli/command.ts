import type { OptionName } from './options/options.ts';

/** The options of a command line, as given. */
export interface Arguments {
  /** The value of an option or of its variable; `undefined` when neither was given. */
  text(name: OptionName): string | undefined;
  /** The value of an option that the command requires. */
  required(name: OptionName): string;
  flag(name: OptionName): boolean;
  /** How a message calls an option: `--timeout`, or its variable if the value is from there. */
  label(name: OptionName): string;
  /** The values of a repeatable option; its variable holds them separated by commas. */
  list(name: OptionName): readonly string[];
  /** The words after `--`, as they are; empty for a command that takes none. */
  readonly rest: readonly string[];
}

/** One command, or a group of commands, with its texts for help and the reference. */
export interface Command {
  /** One line: what it does, as a command to the program, without a full stop. */
  readonly description: string;
  /** Further information, in whole sentences. */
  readonly details?: string;
  /** What it writes to standard output, in whole sentences. */
  readonly prints?: string;
  /** The exit codes with a special meaning here. Those of every command need not be repeated. */
  readonly exits?: Readonly<Record<number, string>>;
  /** Hidden from help and suggestions: for programs, not for people. */
  readonly hidden?: true;
  /** The options it takes, besides `help`. */
  readonly options?: readonly OptionName[];
  /**
   * The meaning of options for this command, if it is not the common one. Their variables are not used then.
   */
  readonly meanings?: Partial<Readonly<Record<OptionName, string>>>;
  /**
   * The defaults of options, as help states them, if they are not the common ones. `timeout` always has one
   * here.
   */
  readonly defaults?: Partial<Readonly<Record<OptionName, string>>>;
  /**
   * How help names an option's value in this command: for a flag that takes a value here, or for an uncommon
   * one.
   */
  readonly valued?: Partial<Readonly<Record<OptionName, string>>>;
  /** The values that an option accepts in this command, when others accept any. */
  readonly choices?: Partial<Readonly<Record<OptionName, readonly string[]>>>;
  /**
   * The check of an option's value in this command, if it is not the common one; it throws BrokerError
   * `usage`.
   */
  readonly checks?: Partial<Readonly<Record<OptionName, (value: string, option: string) => void>>>;
  /** The options that must be given. */
  readonly required?: readonly OptionName[];
  /** Sets of options of which exactly one must be given. The command checks it. */
  readonly oneOf?: readonly (readonly OptionName[])[];
  /**
   * The options that a word without an option may be meant for; default: `required`, then those of `oneOf`.
   */
  readonly positionals?: readonly OptionName[];
  /** Command lines that help shows, without the program's name. */
  readonly examples?: readonly string[];
  /** What must follow `--`: `CMD…`. */
  readonly rest?: string;
  readonly subCommands?: Readonly<Record<string, Command>>;
  /** Of a program: the commands that only another program has. A message names that program. */
  readonly elsewhere?: { readonly program: string; readonly commands: readonly string[] };
  /** For a group: help lists its commands one by one where it lists the group. */
  readonly expanded?: true;
  /** Loads the command's code: only the command that runs is loaded. */
  readonly load?: () => Promise<{ run: Run }>;
}

/**
 * Runs a command. It writes its result to standard output and throws BrokerError on failure.
 * @param program the name of the program that was called, `bpbroker` or `bpclient`, for the command lines
 * that it advises.
 * @returns the exit code, if it is not 0.
 */
export type Run = (args: Arguments, program: string) => Promise<number | void>;
