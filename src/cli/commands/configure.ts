import { addToConfiguration } from '../../broker/configure.ts';
import { parseJsonText } from '../../config/json-file.ts';
import { newBrokerFile } from '../options/broker-file.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Run } from '../command.ts';
import { writeData } from '../output/data-output.ts';
import { readText } from '../options/data.ts';
import { writeError } from '../terminal/terminal.ts';

export const run: Run = async (args) => {
  const source = args.text('config-file') ?? '-';
  const addition = await parseJsonText(
    readText(source, '--config-file'),
    source === '-' ? 'standard input' : source,
  );
  const { file } = newBrokerFile(args);
  const { added, kept, globalProblem } = await addToConfiguration(file, addition);
  if (globalProblem !== undefined) writeError(`${globalProblem}\n`);
  // Only the paths: values may be keys.
  for (const option of added) await writeData(`added ${option}\n`);
  for (const option of kept) writeError(`kept ${messageOf(option)}: it has another value already\n`);
  if (added.length === 0) writeError(`nothing to add to ${file}\n`);
};
