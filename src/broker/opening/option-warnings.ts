import { isModuleKey } from '../../config/schema.ts';
import { unknownOptions } from '../../config/unknown-options.ts';
import { limitProblems } from '../../extensions/limits.ts';
import { isObject } from '../../protocol/formats/data.ts';
import type { LiveConfiguration } from './live-configuration.ts';

/**
 * Problems of options that do not keep the broker from running: a sentence for each, at a start and at a reload.
 * A wrong limit is no error then. The module may belong to an embedding program, for which the key means
 * something else.
 */
export function optionWarnings({ written, effective, globalProblem }: LiveConfiguration): string[] {
  const wrong = Object.entries(effective).flatMap(([name, module]) =>
    isModuleKey(name) && isObject(module) ? limitProblems(name, module) : [],
  );
  return [
    ...(globalProblem === undefined ? [] : [globalProblem]),
    ...unknownOptions(written),
    ...wrong.map((problem) => `a limit is wrong, and an extension fails every call with it: ${problem}`),
  ];
}
