import type { Config } from '../../config/schema.ts';
import { unknownOptions } from '../../config/unknown.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import type { LogFields, Logger } from '../../protocol/logger.ts';
import { openFileStore } from '../../store/file/file-store.ts';
import { acquireLock } from '../../store/file/lock.ts';
import type { BrokerStore, SharedRegistry } from './broker-store.ts';
import { closeToOthers } from './file-permissions.ts';
import { preparePlace } from './place.ts';
import { openSettings, type Settings } from './settings.ts';

/** A registry that only this process uses, and the options to serve it with. */
export interface Opened {
  readonly settings: Settings;
  readonly store: BrokerStore;
  /** The shared part of a registry that other brokers serve too. */
  readonly shared: SharedRegistry | undefined;
  /** Releases the file; the store must have been closed before. */
  release(): Promise<void>;
}

/**
 * The one way to open a broker's file: its place, its lock, its options, its permissions, its registry. Each
 * step needs those before it, and a failure undoes them.
 * @param options over those of the file, for this run only.
 * @param onOptions gets the options, before the registry is opened with them.
 * @param onDurable gets the duration of each commit, in seconds.
 * @throws BrokerError of any step.
 */
export async function openRegistry(
  file: string,
  options: JsonObject | undefined,
  log: Logger,
  onOptions: (options: Config) => void,
  onDurable: (seconds: number) => void,
): Promise<Opened> {
  await preparePlace(file);
  const lock = await acquireLock(file);
  try {
    const settings = await openSettings({ file, options, log });
    const { document, edits } = settings;
    onOptions(settings.effective);
    for (const problem of unknownOptions(settings.written)) log.warn(problem, { file });
    await closeToOthers(file, document?.options, log);
    if (settings.effective._store.driver === 'etcd') {
      const { openEtcdRegistry, placeOf } = await import('./etcd-registry.ts');
      const { store, shared, release } = await openEtcdRegistry(file, settings, log);
      await sayOpened({ file, driver: 'etcd', ...placeOf(settings.effective._store) }, store, log);
      const letGo = async (): Promise<void> => {
        release();
        await lock.release();
      };
      return { settings, store, shared, release: letGo };
    }
    const store = await openFileStore({
      file,
      document,
      options: () => settings.written,
      edits,
      onDurable,
      maxBytes: settings.effective._store.max_bytes,
      log: (level, message) => log[level](message),
    });
    await sayOpened({ file }, store, log);
    return { settings, store, shared: undefined, release: () => lock.release() };
  } catch (error) {
    await lock.release();
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
