import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerError } from '../protocol/errors.ts';
import { recordOf } from './record.ts';
import type { CommandResult, System } from './system.ts';

/** One step of an installation or removal, if it has not been done yet. */
export interface Step {
  /** For people: a command line, or what happens to a file, followed by the content of a written file. */
  readonly text: string;
  readonly content?: string;
  /**
   * Whether the step has anything to do. `changed`: whether a step before it has done something (in a dry
   * run: would have).
   */
  needed(changed: boolean): Promise<boolean>;
  apply(): Promise<void>;
}

/** Makes the steps of a plan for one system. */
export interface Steps {
  folder(dir: string, mode: number): Step;
  /** Copies a program. */
  copy(from: string, to: string): Step;
  /** A file that belongs to install-service: refuses to replace one that it has not written. */
  definition(file: string, content: string, mode: number): Step;
  /** A file without a record. */
  file(file: string, content: string, mode: number): Step;
  remove(file: string): Step;
  /** Removes an empty folder. */
  removeEmpty(dir: string): Step;
  /** Runs a program. Default of `needed`: always. */
  run(command: readonly string[], options?: RunStepOptions): Step;
}

export interface RunStepOptions {
  needed?(changed: boolean): Promise<boolean> | boolean;
  /** Text for the message of a failure, besides the program's output. */
  explain?(): Promise<string>;
  /**
   * Whether the command's effect has come, for a command that does not wait for it. Called again for at most
   * 30 s.
   */
  until?(): Promise<boolean>;
}

const UNTIL_MS = 30_000;
const POLL_MS = 100;

export function stepsOn(system: System): Steps {
  const write = (file: string, content: string, mode: number, check?: () => Promise<void>): Step => ({
    text: `write ${file}`,
    content,
    async needed() {
      await check?.();
      return (await system.readText(file)) !== content;
    },
    apply: () => system.writeText(file, content, mode),
  });
  return {
    folder: (dir, mode) => ({
      text: `make the folder ${dir}`,
      needed: async () => (await system.stat(dir)) === undefined,
      apply: () => system.makeFolder(dir, mode),
    }),
    copy: (from, to) => ({
      text: `copy ${from} to ${to}`,
      needed: async () => !(await system.sameContent(from, to)),
      apply: () => system.copyProgram(from, to),
    }),
    definition: (file, content, mode) => write(file, content, mode, () => refuseForeign(system, file)),
    file: (file, content, mode) => write(file, content, mode),
    remove: (file) => ({
      text: `remove ${file}`,
      needed: async () => (await system.stat(file)) !== undefined,
      apply: () => system.remove(file),
    }),
    removeEmpty: (dir) => ({
      text: `remove the empty folder ${dir}`,
      needed: async () => system.isEmptyFolder(dir),
      apply: () => system.removeFolder(dir),
    }),
    run: (command, { needed = () => true, explain, until } = {}) => ({
      text: commandLine(command),
      needed: async (changed) => needed(changed),
      async apply() {
        const result = await system.run(command);
        if (result.code !== 0) throw failure(command, result, explain ? await explain() : '');
        if (until) await waitUntil(until, commandLine(command));
      },
    }),
  };
}

/**
 * Does the steps that are needed, in order, and reports each; with `dryRun`, only reports.
 * @returns whether any step was needed.
 * @throws BrokerError of the first step that fails.
 */
export async function applySteps(
  steps: readonly Step[],
  dryRun: boolean,
  tell: (step: Step) => void,
): Promise<boolean> {
  let changed = false;
  for (const step of steps) {
    if (!(await step.needed(changed))) continue;
    tell(step);
    if (!dryRun) await step.apply();
    changed = true;
  }
  return changed;
}

async function waitUntil(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + UNTIL_MS; !(await condition());) {
    if (performance.now() > end) throw new BrokerError('timeout', `'${what}' had no effect within 30 s`);
    await sleep(POLL_MS);
  }
}

async function refuseForeign(system: System, file: string): Promise<void> {
  const present = await system.readText(file);
  if (present === undefined || recordOf(present)) return;
  const message = `${file} exists and was not made by install-service; remove it first`;
  throw new BrokerError('already_exists', message);
}

function failure(
  command: readonly string[],
  { code, stdout, stderr }: CommandResult,
  more: string,
): BrokerError {
  const said = (stderr.trim() || stdout.trim()).split(/\r?\n/)[0] ?? '';
  const reasons = [said, more].filter(Boolean).join('; ');
  return new BrokerError(
    'internal',
    `'${commandLine(command)}' failed (${code})${reasons ? `: ${reasons}` : ''}`,
  );
}

/** A command as a person may type it. */
function commandLine(command: readonly string[]): string {
  return command
    .map((word) => (/^[\w./:=@%+,\\-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}
