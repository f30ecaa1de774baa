import type { OptionName } from './options/options.ts';

/** The options of a command line, as given. */
export interface Arguments {
  /** The value of an option, or of the variable that stands in for it; nothing when neither was given. */
  text(name: OptionName): string | undefined;
  /** The value of an option that the command requires. */
  required(name: OptionName): string;
  flag(name: OptionName): boolean;
  /** The values of a repeatable option; its variable holds them with commas between. */
  list(name: OptionName): readonly string[];
  /** The words behind `--`, as they are; empty for a command that takes none. */
  readonly rest: readonly string[];
}

/** One command, or a group of commands. What help and the reference say of it is here too. */
export interface Command {
  /** One line: what it does, as a command to the program, without a full stop. */
  readonly description: string;
  /** What there is to know besides, in whole sentences. */
  readonly details?: string;
  /** What it writes to standard output, in whole sentences. */
  readonly prints?: string;
  /** The exit codes that have a meaning of their own here; those of every command need not be here. */
  readonly exits?: Readonly<Record<number, string>>;
  /** Left out of help and suggestions: it is not for people. */
  readonly hidden?: true;
  /** The options it takes; `help` besides. */
  readonly options?: readonly OptionName[];
  /** What options mean to this command, where that differs from what they mean to others; no variable stands in for these. */
  readonly meanings?: Partial<Readonly<Record<OptionName, string>>>;
  /** What holds without an option, where that differs from what holds for others. `timeout` is always here. */
  readonly defaults?: Partial<Readonly<Record<OptionName, string>>>;
  /** How help names the value of an option in this command: of a flag that takes one here, or where it is another than elsewhere. */
  readonly valued?: Partial<Readonly<Record<OptionName, string>>>;
  /** The values that an option takes in this command, where others take any. */
  readonly choices?: Partial<Readonly<Record<OptionName, readonly string[]>>>;
  /** How the value of an option is checked in this command, where that differs; it throws BrokerError `usage`. */
  readonly checks?: Partial<Readonly<Record<OptionName, (value: string, option: string) => void>>>;
  /** Those of them that must be given. */
  readonly required?: readonly OptionName[];
  /** Sets of options of which exactly one must be given. The command checks it. */
  readonly oneOf?: readonly (readonly OptionName[])[];
  /** The options that a word without an option is probably meant for; default: `required`, then those of `oneOf`. */
  readonly positionals?: readonly OptionName[];
  /** Command lines, without the program's name, that help shows. */
  readonly examples?: readonly string[];
  /** What follows `--`, which must be given: `CMD…`. */
  readonly rest?: string;
  readonly subCommands?: Readonly<Record<string, Command>>;
  /** A group whose commands help lists one by one where it lists the group. */
  readonly expanded?: true;
  /** Loads what the command does: only the one that runs is loaded. */
  readonly load?: () => Promise<{ run: Run }>;
}

/**
 * What a command does. It writes its result to standard output and throws BrokerError on failure.
 * @param program the name of the program that was called, `bpbroker` or `bpclient`, for command lines that it advises.
 * @returns the exit code, where it is not 0.
 */
export type Run = (args: Arguments, program: string) => Promise<number | void>;
