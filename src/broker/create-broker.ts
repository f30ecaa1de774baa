import path from 'node:path';
import type { Module } from '../modules/module.ts';
import type { JsonObject } from '../protocol/data.ts';
import type { Logger } from '../protocol/logger.ts';
import { type Broker, openBroker } from './broker.ts';

export interface CreateBrokerOptions {
  /** Where it keeps its file, `bpbroker.json`, with registry and certificate; made when it does not exist. Extensions: `lib`; backups: `backups`. */
  readonly dir: string;
  /** Options in the shape of the configuration file, over what stands in that file. */
  readonly config?: JsonObject;
  /** Modules of your own by name; each becomes callable through its key in `config`. */
  readonly modules?: Readonly<Record<string, Module>>;
  /** Where to say what happens; default: nowhere. */
  readonly log?: Logger;
  /** Called after each self-check that found that the broker answers. */
  readonly onAlive?: () => void;
}

/**
 * Opens a broker in this process.
 *
 * @throws BrokerError `invalid_config` when its file is malformed, damaged, or in use by another broker.
 * @example
 * ```ts
 * import { createBroker } from 'bpbroker';
 * const broker = await createBroker({ dir: './broker-data', config: { api: { listen_port: 20443 } } });
 * const { url } = await broker.listen(); // or mount it: yourHonoApp.route('/broker', broker.app)
 * console.log(url);
 * await broker.close();
 * ```
 */
export function createBroker({ dir, ...options }: CreateBrokerOptions): Promise<Broker> {
  return openBroker({ file: path.resolve(dir, 'bpbroker.json'), ...options });
}
