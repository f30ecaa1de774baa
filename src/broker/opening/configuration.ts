import { stat } from 'node:fs/promises';
import path from 'node:path';
import { ifPresent } from '../../config/atomic-write.ts';
import { servicesKeyProblem } from '../../config/access-key-problems.ts';
import { type Configuration, environmentLayer, mergeLayers, optionsOf } from '../../config/layers.ts';
import { type Environment, globalRoot, homeAt } from '../../config/paths.ts';
import { isObject, type Json, type JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { readStored, type StoredDocument } from '../../store/file/document/document.ts';

/** A broker's configuration on disk, merged with the options of this run. */
export interface LoadedConfiguration extends Configuration {
  /** The content of the broker's own file, registry included; undefined when the file does not exist yet. */
  readonly document: StoredDocument | undefined;
}

/**
 * Reads the layers (contract, section 4): defaults, the machine's global file, the broker's own file, the
 * environment, and `options`.
 * @throws BrokerError `invalid_config` with file, line and column, or the wrong option.
 */
export async function loadConfiguration(
  file: string,
  options: JsonObject | undefined,
  env: Environment = process.env,
): Promise<LoadedConfiguration> {
  const document = await readStored(file);
  const globalFile = homeAt(globalRoot(env)).configFile;
  const global = (await sameFile(globalFile, file)) ? undefined : await readStored(globalFile);
  const layers = {
    global: global && optionsOf(global.options),
    file: document && optionsOf(document.options),
    env: environmentLayer(env),
    options,
  };
  const merged = mergeLayers(layers, file);
  if (document) checkServices(servicesOf(document), merged, file);
  if (global) checkServices(servicesOf(global), merged, globalFile);
  return { ...merged, document };
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

async function sameFile(a: string, b: string): Promise<boolean> {
  if (path.resolve(a) === path.resolve(b)) return true;
  const [one, other] = await Promise.all([ifPresent(stat(a)), ifPresent(stat(b))]);
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev;
}
