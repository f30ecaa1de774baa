import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { checkConfig, type Config } from '../../config/schema.ts';
import { ifPresent, resolveFile } from '../../config/atomic-write.ts';
import { DEFAULT_PREFIX } from '../../protocol/addresses/endpoint.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { silentLogger } from '../../protocol/logger.ts';
import { openCluster } from '../../store/etcd/gateway/cluster.ts';
import { asBrokerError } from '../../store/file/disk-errors.ts';
import { acquireLock } from '../../store/file/lock.ts';
import { isPrivateEndpoint, openEtcdFetch } from '../opening/etcd-registry.ts';
import { prepareFolder } from '../opening/prepare-folder.ts';
import { openLiveConfiguration } from '../opening/live-configuration.ts';
import type { Migrated, Migration, MigrationOptions } from './migration.ts';
import { finishInEtcd, finishInFile } from './finish-migration.ts';
import { readMoverId } from './mover-id.ts';
import { toEtcd } from './to-etcd.ts';
import { toFile } from './to-file.ts';

/**
 * Moves the registry of a configuration file between the file and etcd, and switches its `_store`. First
 * every entry is copied, read back and compared. Then one step switches the configuration, and the other side
 * is opened. The source stays, and is closed. After an interruption at any point, another run completes it.
 *
 * @throws BrokerError `invalid_config` where a broker runs on the file, or an option of it is wrong. `usage`
 * where endpoints are missing. `already_exists` where the target holds data that could be lost.
 * `not_found` where the file does not exist, or names etcd and no registry is there. `storage_full`,
 * `unavailable` for either side. The registry is then still in its old place, unless the message says that the
 * configuration has been switched already.
 */
export async function migrateRegistry(options: MigrationOptions): Promise<Migrated> {
  const { to, backupDir, onProgress, signal } = options;
  if ((await ifPresent(stat(options.file))) === undefined) {
    throw new BrokerError(
      'not_found',
      `There is no configuration file ${options.file}; name it with --config`,
    );
  }
  await prepareFolder(options.file);
  const lock = await acquireLock(options.file);
  try {
    const file = await resolveFile(options.file);
    const configuration = await openLiveConfiguration({ file, options: undefined, log: silentLogger });
    const { written, globalProblem } = configuration;
    const warnings = globalProblem === undefined ? [] : [globalProblem];
    const isHere = written._store.driver === to;
    const store = storeOf(written, options, isHere);
    if (store === undefined) {
      return { outcome: 'already', place: '', notes: warnings };
    }
    const secure = await openEtcdFetch(store, silentLogger);
    try {
      const { endpoints = [], prefix = DEFAULT_PREFIX, username, password } = store;
      const cluster = openCluster({
        endpoints,
        prefix,
        ...(secure && { fetch: secure.fetch }),
        ...(username !== undefined && { username }),
        ...(password !== undefined && { password }),
      });
      const mover = await readMoverId(file);
      const by = { host: hostname(), file, mover: mover.id };
      const isPrivate = endpoints.every(isPrivateEndpoint);
      const parts = { file, backupDir, configuration, cluster, by, isPrivate, onProgress, signal };
      const migration: Migration = {
        ...parts,
        beforeMark: mover.keep,
        options: { ...written, _store: store },
      };
      const run = to === 'etcd' ? (isHere ? finishInEtcd : toEtcd) : isHere ? finishInFile : toFile;
      const migrated = await run(migration);
      // A note says that an earlier run may have to go on, which needs its mark.
      if (migrated.outcome !== 'already' || migrated.notes.length === 0) await mover.remove();
      const notes = [...warnings, ...migrated.notes];
      return { ...migrated, notes, place: `${endpoints.join(' ')} below ${prefix}` };
    } finally {
      secure?.close();
    }
  } catch (error) {
    throw asBrokerError(error, `Cannot migrate ${options.file}`);
  } finally {
    await lock.release();
  }
}

/** `_store` with the command's options of etcd; undefined where it has none and needs none. */
function storeOf(
  written: Config,
  { file, endpoints, prefix }: MigrationOptions,
  isHere: boolean,
): Config['_store'] | undefined {
  const { _store: store } = written;
  const from = store.prefix ?? DEFAULT_PREFIX;
  const here: JsonObject = { ...store, prefix: from };
  const given = { ...(endpoints && { endpoints }), ...(prefix !== undefined && { prefix }) };
  if (store.driver === 'etcd' && !isHere && prefix !== undefined && prefix !== from) {
    throw new BrokerError(
      'invalid_config',
      `The registry of ${file} is below '${from}' in etcd, and --prefix names '${prefix}', which holds another one; leave the option out`,
    );
  }
  const moved = Object.entries(given).find(([key, value]) => isHere && differs(here[key], value));
  if (moved) {
    const [key, value] = moved;
    const option = key === 'prefix' ? '--prefix' : '--endpoint';
    const there = here[key] === undefined ? 'not there' : JSON.stringify(here[key]);
    throw new BrokerError(
      'invalid_config',
      `The registry of ${file} is already in ${store.driver === 'etcd' ? 'etcd' : 'the file'}, and ${option} is not what the file has: '_store.${key}' is ${there}, not ${JSON.stringify(value)}; leave ${option} out`,
    );
  }
  const next: JsonObject = { ...store, ...given };
  if (isHere && store.driver === 'file' && next['endpoints'] === undefined) return undefined;
  if (next['endpoints'] === undefined) {
    throw new BrokerError(
      'usage',
      `No endpoint of etcd is given: add --endpoint URL, such as --endpoint https://10.0.0.1:2379, because ${file} has no '_store.endpoints'`,
    );
  }
  // Checked in the form that etcd's driver gets.
  return checkConfig({ ...written, _store: { ...next, driver: 'etcd' } }, file)._store;
}

function differs(here: unknown, given: unknown): boolean {
  return JSON.stringify(here) !== JSON.stringify(given);
}
