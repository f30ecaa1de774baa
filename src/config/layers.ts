import { isObject, type Json, type JsonObject, mergeData } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import type { Environment } from './paths.ts';
import { checkConfig, type Config, defaults } from './schema.ts';

/** The parts of a configuration, weakest first (contract, section 4). */
export interface Layers {
  /** The global file's options, when `--config` names another file. */
  readonly global?: JsonObject | undefined;
  /** The options of the broker's own file. */
  readonly file?: JsonObject | undefined;
  readonly env?: JsonObject | undefined;
  /** From the command line, or passed to `createBroker`. */
  readonly options?: JsonObject | undefined;
}

/** The merged layers of a configuration. */
export interface Configuration {
  /** All layers merged: the configuration that the broker runs with. */
  readonly effective: Config;
  /**
   * The configuration that is written back to its file: the files' layers with every default spelled out. The
   * layers of the environment and the command line are valid for one run and are not written.
   */
  readonly written: Config;
}

/**
 * Merges the layers; unknown keys are kept.
 * @throws BrokerError `invalid_config` naming `source` and the wrong option.
 */
export function mergeLayers(layers: Layers, source: string): Configuration {
  const written = [layers.global, layers.file].reduce<JsonObject>(mergeOptions, defaults);
  const effective = [layers.env, layers.options].reduce<JsonObject>(mergeOptions, written);
  return { effective: checkConfig(effective, source), written: checkConfig(written, source) };
}

function mergeOptions(base: JsonObject, layer: JsonObject | undefined): JsonObject {
  return layer ? mergeData(base, layer) : base;
}

/**
 * The options of a configuration file: everything except the registry, and the seal of a backup that was put
 * there by hand.
 */
export function optionsOf(document: JsonObject): JsonObject {
  const { _registry, _backup, services, ...rest } = document;
  const own = isObject(services)
    ? Object.fromEntries(Object.entries(services).filter(([key]) => key.startsWith('_')))
    : {};
  return { ...rest, services: own };
}

/**
 * Adds configuration to a document without replacing anything: objects are merged, and a value that is set
 * stays.
 * @returns the new document and the paths of the added values.
 */
export function addConfiguration(
  present: JsonObject,
  addition: JsonObject,
  prefix = '',
): { document: JsonObject; added: string[]; kept: string[] } {
  const document: Record<string, Json> = { ...present };
  const added: string[] = [];
  const kept: string[] = [];
  for (const [key, value] of Object.entries(addition)) {
    const here = document[key];
    if (!Object.hasOwn(document, key)) {
      document[key] = value;
      added.push(prefix + key);
    } else if (isObject(here) && isObject(value)) {
      const inner = addConfiguration(here, value, `${prefix}${key}.`);
      document[key] = inner.document;
      added.push(...inner.added);
      kept.push(...inner.kept);
    } else if (JSON.stringify(here) !== JSON.stringify(value)) {
      kept.push(prefix + key);
    }
  }
  return { document, added, kept };
}

const variables = {
  BPBROKER_LISTEN_IP: 'listen_ip',
  BPBROKER_LISTEN_PORT: 'listen_port',
  BPBROKER_SSL_CERT: 'ssl_cert',
  BPBROKER_SSL_KEY: 'ssl_key',
} as const;

/** The environment's layer: `BPBROKER_LISTEN_IP`, `_LISTEN_PORT`, `_SSL_CERT`, `_SSL_KEY`. An empty variable is unset. */
export function environmentLayer(env: Environment = process.env): JsonObject {
  const api: Record<string, Json> = {};
  for (const [variable, option] of Object.entries(variables)) {
    const value = env[variable];
    if (value) api[option] = option === 'listen_port' ? parsePort(value, variable) : value;
  }
  return { api };
}

/**
 * Reads a TCP port from text, 0 (any free one) included.
 * @throws BrokerError `usage` naming `what`.
 */
export function parsePort(text: string, what: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new BrokerError('usage', `Invalid ${what} '${text}': expected a port from 0 to 65535`);
}
