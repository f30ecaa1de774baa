import path from 'node:path';
import { programConfig } from '../config/program-config.ts';
import type { BrokerConfig, BrokerSections } from '../config/schema.ts';
import { checkOwnModules } from '../modules/built-in.ts';
import type { Module } from '../modules/module.ts';
import { isObject } from '../protocol/formats/data.ts';
import { isLogger, type Logger } from '../protocol/logger.ts';
import { checkOptions, isFunction, isText, type OptionRules } from '../protocol/options.ts';
import { type Broker, openBroker } from './broker.ts';

export interface CreateBrokerOptions {
  /**
   * The folder for its file `bpbroker.json`, with registry and certificate; created if needed. Extensions are
   * in `lib`, backups in `backups`. The file of the machine's own broker has no part in it.
   */
  readonly dir: string;
  /**
   * Options over those in its file, in that file's shape, for this run only; default: none. An object of an
   * interface of your own fits too.
   */
  readonly config?: BrokerConfig | (BrokerSections & object);
  /** Modules of your own by name; each can be called once it has a key in `config`. */
  readonly modules?: Readonly<Record<string, Module>>;
  /** The log; default: none. */
  readonly log?: Logger;
  /** Called after each self-check in which the broker answered. */
  readonly onAlive?: () => void;
}

const rules: OptionRules<CreateBrokerOptions> = {
  dir: {
    required: true,
    expected: "the folder for its file, such as './broker-data'",
    accepts: (dir) => isText(dir) && dir !== '',
  },
  config: {
    expected: "an object in the configuration file's shape, such as { api: { listen_port: 20443 } }",
    accepts: isObject,
  },
  modules: { expected: 'an object of modules by name, as defineModule() makes them', accepts: isObject },
  log: { expected: 'a logger with debug, info, warn and error, such as console', accepts: isLogger },
  onAlive: { expected: 'a function', accepts: isFunction },
};

/**
 * Opens a broker in this process.
 *
 * @throws BrokerError `invalid_config` for an option that is missing, wrong or unknown, and when its file is
 * malformed, damaged, or in use by another broker.
 * @example
 * ```ts
 * import { createBroker } from 'bpbroker';
 * const broker = await createBroker({ dir: './broker-data', config: { api: { listen_port: 20443 } } });
 * const { url } = await broker.listen(); // or mount it: yourHonoApp.route('/broker', broker.app)
 * console.log(url);
 * await broker.close();
 * ```
 */
export async function createBroker(options: CreateBrokerOptions): Promise<Broker> {
  checkOptions<CreateBrokerOptions>('createBroker', options, rules);
  const { dir, config, modules = {}, log, onAlive } = options;
  checkOwnModules('createBroker', modules);
  return await openBroker({
    file: path.resolve(dir, 'bpbroker.json'),
    isEmbedded: true,
    modules,
    ...(config && { config: programConfig(config, 'createBroker: config') }),
    ...(log && { log }),
    ...(onAlive && { onAlive }),
  });
}
