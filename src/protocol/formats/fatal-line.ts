import { escapeControls } from '../errors.ts';

/*
 * The one line that a program says why it failed in (contract, section 2), for whoever writes it and for whoever looks for it in
 * a log. A log of JSON lines has it as one of them.
 */

const WORDS = 'Fatal error';

export function fatalText(message: string): string {
  return `${WORDS}: ${message}`;
}

/** @param exitCode that the program ends with. */
export function fatalJson(message: string, exitCode: number): string {
  const time = new Date().toISOString();
  return escapeControls(
    JSON.stringify({ time, level: 'error', message: WORDS, error: message, exit_code: exitCode }),
  );
}

/** The message of a line that says why a program failed, in either form; nothing for any other line. */
export function fatalMessageOf(line: string): string | undefined {
  if (line.startsWith(`${WORDS}: `)) return line.slice(WORDS.length + 2);
  if (!line.startsWith('{') || !line.includes(WORDS)) return undefined;
  try {
    const { message, error } = JSON.parse(line) as { message?: unknown; error?: unknown };
    return message === WORDS && typeof error === 'string' ? error : undefined;
  } catch {
    // A line that was cut off, or another program's.
    return undefined;
  }
}
