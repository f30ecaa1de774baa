import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Abbreviations, type Exchange, expand, matches } from '../documents/documents.ts';
import { run } from './run.ts';
import { tempDir } from '../temp.ts';

/** A shell that somebody types a page into. Variables that are exported hold from one command to the next. */
export interface Terminal {
  /** Types a command, and checks that the terminal shows what the page does. */
  enter(exchange: Exchange): Promise<void>;
  /** Types a whole block, whose last exit code, and that of each command before, must be 0. */
  script(text: string): Promise<void>;
}

export interface TerminalOptions {
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  /** The command that opens the shell; default: `bash`. */
  readonly opener?: readonly string[];
  /** Shared by the terminals of one page. */
  readonly known: Abbreviations;
  /** Output in the words of the page; default: as it is. */
  asShown?(text: string): string;
  /** A command of the page in the words of this run; default: as it is. */
  asTyped?(text: string): string;
}

export function createTerminal(options: TerminalOptions): Terminal {
  const { dir, env, known, opener } = options;
  const { asShown = (text: string) => text, asTyped = (text: string) => text } = options;
  const variables = path.join(tempDir(), 'variables');
  writeFileSync(variables, '');
  let last = 0;

  const type = async (before: string, text: string): Promise<string> => {
    const script = `exec 2>&1; . '${variables}'; ${before}; ${asTyped(expand(text, known))}
      status=$?; export -p > '${variables}'; exit $status`;
    const shell = [...(opener ?? ['bash']), '-c', script];
    const { code = -1, stdout } = await run(shell, { env, cwd: dir, timeoutMs: 60_000 });
    last = code;
    return asShown(stdout);
  };

  return {
    async enter({ command, shown }) {
      const output = await type(`(exit ${last})`, command);
      if (!matches(shown, output, known)) assert.equal(output, shown, `$ ${command}`);
    },
    async script(text) {
      const output = await type('set -e', text);
      assert.equal(last, 0, `${text}\nended with ${last}:\n${output}`);
      last = 0;
    },
  };
}
