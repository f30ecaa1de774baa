import { exitCodes } from '../../src/cli/help/exit-codes.ts';
import { errorDocs } from '../../src/protocol/error-docs.ts';
import { BrokerError, errorCodes } from '../../src/protocol/errors.ts';
import { table } from './sections.ts';

/** Makes the table of the errors of a broker's answers, and the table of all errors by exit code. */
export function errorSections(): Record<'errors' | 'exit-codes', string> {
  const errors = errorCodes.map((code) => {
    const { status, exitCode } = new BrokerError(code, '');
    return { code, status, exitCode, ...errorDocs[code] };
  });
  const answered = errors
    .filter(({ isAnswered = true }) => isAnswered)
    .toSorted((a, b) => a.status - b.status);
  const byExit = Object.entries(exitCodes).flatMap(([exit, text]) => {
    const those = errors.filter(({ exitCode }) => String(exitCode) === exit);
    return those.map(({ code, meaning, remedy }, n) => [
      n === 0 ? `${exit}: ${text}` : '',
      `\`${code}\``,
      meaning,
      remedy,
    ]);
  });
  return {
    errors: table(
      ['code', 'status', 'exit code', 'meaning', 'what to do'],
      answered.map(({ code, status, exitCode, meaning, remedy }) => [
        `\`${code}\``,
        String(status),
        String(exitCode),
        meaning,
        remedy,
      ]),
    ),
    'exit-codes': table(['exit code', 'code', 'what is wrong', 'what to do'], byExit),
  };
}
