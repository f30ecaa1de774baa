import type { Step } from '../../os-service/step.ts';
import { writeError, writeOut } from '../terminal/terminal.ts';

/** Tells a person of each step: a note as it is done, or the whole of it, with the content of files, in a dry run. */
export function tellSteps(dryRun: boolean): (step: Step) => void {
  return ({ text, content }) => {
    if (!dryRun) return writeError(`${text}\n`);
    writeOut(`${text}\n`);
    for (const line of content?.trimEnd().split(/\r?\n/) ?? [])
      writeOut(`    ${line}\n`.replace(/^ +\n/, '\n'));
  };
}
