import type { Config } from '../../config/schema.ts';
import type { LogFields, Logger } from '../../protocol/logger.ts';
import { openFileStore } from '../../store/file/file-store.ts';
import { acquireLock } from '../../store/file/lock.ts';
import type { BrokerStore, SharedRegistry } from './broker-store.ts';
import { createTrailLock, type TrailLock } from '../audit/trail-lock.ts';
import { closeToOthers } from './file-permissions.ts';
import { type ModulePlaces, optionWarnings } from './option-warnings.ts';
import { prepareFolder } from './prepare-folder.ts';
import {
  openLiveConfiguration,
  type LiveConfiguration,
  type LiveConfigurationOptions,
} from './live-configuration.ts';

/** A registry that only this process uses, and the options to serve it with. */
export interface OpenedRegistry {
  readonly configuration: LiveConfiguration;
  readonly store: BrokerStore;
  /** The shared part of a registry that other brokers serve too. */
  readonly shared: SharedRegistry | undefined;
  /** Of the file of the audit trail. */
  readonly trailLock: TrailLock;
  /** Releases the files; the store and the trail must have been closed before. */
  release(): Promise<void>;
}

/**
 * The one way to open a broker's file: its place, its lock, its options, its permissions, its registry. Each
 * step needs those before it, and a failure undoes them.
 * @param source the file, and which options count besides its own.
 * @param onOptions gets the options, before the registry is opened with them.
 * @param onDurable gets the duration of each commit, in seconds.
 * @throws BrokerError of any step.
 */
export async function openRegistry(
  source: LiveConfigurationOptions & ModulePlaces,
  onOptions: (options: Config) => void,
  onDurable: (seconds: number) => void,
): Promise<OpenedRegistry> {
  const { file, log } = source;
  await prepareFolder(file);
  const lock = await acquireLock(file);
  const trailLock = createTrailLock(file, log);
  const releaseLocks = async (): Promise<void> => {
    await trailLock.release();
    await lock.release();
  };
  try {
    const configuration = await openLiveConfiguration(source);
    const { document, edits } = configuration;
    onOptions(configuration.effective);
    await trailLock.take(configuration.effective._audit);
    for (const problem of await optionWarnings(configuration, source)) log.warn(problem, { file });
    await closeToOthers(file, document?.options, log);
    if (configuration.effective._store.driver === 'etcd') {
      const { openEtcdRegistry, logFieldsOf } = await import('./etcd-registry.ts');
      const { store, shared, release } = await openEtcdRegistry(file, configuration, log);
      const place = { file, driver: 'etcd', ...logFieldsOf(configuration.effective._store) };
      try {
        await sayOpened(place, store, log);
      } catch (error) {
        // Its watch of etcd would go on.
        await store.close();
        release();
        throw error;
      }
      const letGo = async (): Promise<void> => {
        release();
        await releaseLocks();
      };
      return { configuration, store, shared, trailLock, release: letGo };
    }
    const store = await openFileStore({
      file,
      document,
      options: () => configuration.written,
      edits,
      onDurable,
      maxBytes: configuration.effective._store.max_bytes,
      log: (level, message) => log[level](message),
    });
    await sayOpened({ file }, store, log);
    return { configuration, store, shared: undefined, trailLock, release: releaseLocks };
  } catch (error) {
    await releaseLocks();
    throw error;
  }
}

/** Logs the content, and the loss in a crash: no acknowledged write. */
async function sayOpened(place: LogFields, store: BrokerStore, log: Logger): Promise<void> {
  const { recovery, revision } = store;
  if (recovery) {
    log.warn('the broker was not stopped cleanly the last time; nothing that was acknowledged is lost', {
      ...place,
      replayed: recovery.replayed,
      torn_bytes: recovery.tornBytes,
    });
  }
  log.info('opened the registry', { ...place, registry: store.id, entries: await store.count(''), revision });
}
