import { toJson } from './json.ts';

/*
 * The one line that reports why a program failed (contract, section 2): functions to write it, and to find it in
 * a log. In a log of JSON lines it is a JSON line.
 */

const WORDS = 'Fatal error';

export function fatalText(message: string): string {
  return `${WORDS}: ${message}`;
}

/** @param exitCode the exit code of the program. */
export function fatalJson(message: string, exitCode: number): string {
  const time = new Date().toISOString();
  return toJson({ time, level: 'error', message: WORDS, error: message, exit_code: exitCode });
}

/** The message of such a line, in either form; undefined for any other line. */
export function fatalMessageOf(line: string): string | undefined {
  if (line.startsWith(`${WORDS}: `)) return line.slice(WORDS.length + 2);
  if (!line.startsWith('{') || !line.includes(WORDS)) return undefined;
  try {
    const { message, error } = JSON.parse(line) as { message?: unknown; error?: unknown };
    return message === WORDS && typeof error === 'string' ? error : undefined;
  } catch {
    // The line was cut off, or another program wrote it.
    return undefined;
  }
}
