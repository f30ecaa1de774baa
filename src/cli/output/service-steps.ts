import type { Step } from '../../os-service/step.ts';
import { writeError, writeOut } from '../terminal/terminal.ts';

/**
 * Reports each step to a person: a note when it is done; in a dry run, the whole step with the content of
 * files.
 */
export function tellSteps(dryRun: boolean): (step: Step) => void {
  return ({ text, content }) => {
    if (!dryRun) return writeError(`${text}\n`);
    writeOut(`${text}\n`);
    for (const line of content?.trimEnd().split(/\r?\n/) ?? [])
      writeOut(`    ${line}\n`.replace(/^ +\n/, '\n'));
  };
}
