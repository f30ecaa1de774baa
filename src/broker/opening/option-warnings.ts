import { isModuleKey, METRICS_SECTION } from '../../config/schema.ts';
import { unknownOptions } from '../../config/unknown-options.ts';
import { limitProblems } from '../../extensions/limits.ts';
import { hasExtension } from '../../extensions/lookup.ts';
import { isBuiltIn } from '../../modules/built-in.ts';
import { isObject, type JsonObject } from '../../protocol/formats/data.ts';
import { suggest } from '../../protocol/suggestion.ts';
import type { LiveConfiguration } from './live-configuration.ts';

/** Where the modules of a broker are that are not its own. */
export interface ModulePlaces {
  /** Those in this process, by name. */
  readonly modules: Readonly<Record<string, unknown>>;
  readonly extensionDir: string;
}

/**
 * Problems of options that do not keep the broker from running: a sentence for each, at a start and at a reload.
 * A wrong limit is no error then. The module may belong to an embedding program, for which the key means
 * something else.
 */
export async function optionWarnings(
  { written, effective, globalProblem }: LiveConfiguration,
  places: ModulePlaces,
): Promise<string[]> {
  const wrong = Object.entries(effective).flatMap(([name, module]) =>
    isModuleKey(name) && isObject(module) ? limitProblems(name, module) : [],
  );
  return [
    ...(globalProblem === undefined ? [] : [globalProblem]),
    ...unknownOptions(written),
    ...wrong.map((problem) => `a limit is wrong, and an extension fails every call with it: ${problem}`),
    ...(await misplacedGuards(effective, places)),
  ];
}

/** The parts of a broker that a key guards, besides extensions. */
const guarded: readonly string[] = ['services', 'discover', 'ping', METRICS_SECTION];

/**
 * Keys of modules that do not exist, whose names are nearly those of a part of the broker: a sentence for each. That
 * part may be open.
 */
async function misplacedGuards(
  options: JsonObject,
  { modules, extensionDir }: ModulePlaces,
): Promise<string[]> {
  const found: string[] = [];
  for (const [name, module] of Object.entries(options)) {
    if (!isModuleKey(name) || isBuiltIn(name) || !isObject(module) || !Object.hasOwn(module, '_access_key'))
      continue;
    const near = suggest(name.toLowerCase(), guarded);
    if (near === undefined || Object.hasOwn(modules, name)) continue;
    // Files that cannot be looked at may be that module.
    if (await hasExtension(extensionDir, name).catch(() => true)) continue;
    found.push(`the key of '${name}' guards nothing, since there is no such module; did you mean '${near}'?`);
  }
  return found;
}
