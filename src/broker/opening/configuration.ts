import { stat } from 'node:fs/promises';
import path from 'node:path';
import { ifPresent } from '../../config/atomic-write.ts';
import { servicesKeyProblem } from '../../config/access-key-problems.ts';
import { type Configuration, environmentLayer, mergeLayers, optionsOf } from '../../config/layers.ts';
import { type Environment, globalRoot, homeAt } from '../../config/paths.ts';
import { isObject, type Json, type JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf, systemCode } from '../../protocol/system-errors.ts';
import { readStored, type StoredDocument } from '../../store/file/document/document.ts';

/** A broker's configuration on disk, merged with the options of this run. */
export interface LoadedConfiguration extends Configuration {
  /** The content of the broker's own file, registry included; undefined when the file does not exist yet. */
  readonly document: StoredDocument | undefined;
  /** The options of the machine's global file, which apply beneath; undefined where there is no such file. */
  readonly global: JsonObject | undefined;
  /** Why the options of the machine's global file do not apply: a sentence; absent when they do. */
  readonly globalProblem?: string;
}

/**
 * Reads the layers (contract, section 4): defaults, the machine's global file, the broker's own file, the
 * environment, and `options`. A global file that this user may not read is left out, and named in
 * `globalProblem`.
 * @param isEmbedded whether the machine's global file is left out.
 * @throws BrokerError `invalid_config` with file, line and column, or the wrong option.
 */
export async function loadConfiguration(
  file: string,
  options: JsonObject | undefined,
  env: Environment = process.env,
  isEmbedded = false,
): Promise<LoadedConfiguration> {
  const document = await readStored(file);
  const globalFile = homeAt(globalRoot(env)).configFile;
  const { document: global, problem } = isEmbedded ? {} : await readGlobal(globalFile, file);
  const layers = {
    global: global && optionsOf(global.options),
    file: document && optionsOf(document.options),
    env: environmentLayer(env),
    options,
  };
  const merged = mergeLayers(layers, file);
  if (document) checkServices(servicesOf(document), merged, file);
  if (global) checkServices(servicesOf(global), merged, globalFile);
  return {
    ...merged,
    document,
    global: layers.global,
    ...(problem !== undefined && { globalProblem: problem }),
  };
}

/**
 * Checks for a misplaced key in the entries' object. There, unlike in the options, it would be taken for an
 * entry.
 */
export function checkServices(
  services: Json | undefined,
  { effective }: Configuration,
  source: string,
): void {
  if (!isObject(services) || Object.hasOwn(effective['services'] ?? {}, '_access_key')) return;
  const problem = servicesKeyProblem(services);
  if (problem !== undefined) throw new BrokerError('invalid_config', `${source}: ${problem}`);
}

function servicesOf({ options, plain }: StoredDocument): Json | undefined {
  const services = options['services'];
  return isObject(services) ? { ...plain, ...services } : plain;
}

interface GlobalFile {
  /** Undefined also where the global file is the broker's own. */
  readonly document?: StoredDocument | undefined;
  readonly problem?: string;
}

/**
 * Reads the machine's global file. It often belongs to root alone, and another user's own broker must run all
 * the same.
 */
async function readGlobal(globalFile: string, file: string): Promise<GlobalFile> {
  if (path.resolve(globalFile) === path.resolve(file)) return {};
  const own = await ifPresent(stat(file));
  try {
    const global = await ifPresent(stat(globalFile));
    const isOwn = global !== undefined && global.ino === own?.ino && global.dev === own.dev;
    return isOwn ? {} : { document: await readStored(globalFile) };
  } catch (error) {
    if (!['EACCES', 'EPERM'].includes(systemCode(error) ?? '')) throw error;
    return { problem: `the options of the machine's file ${globalFile} do not apply: ${reasonOf(error)}` };
  }
}
