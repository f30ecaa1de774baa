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

/** A registry that this process alone has in use, and the options that it is to be served with. */
export interface Opened {
  readonly settings: Settings;
  readonly store: BrokerStore;
  /** Of a registry that other brokers serve too. */
  readonly shared: SharedRegistry | undefined;
  /** Lets go of the file; the store must have been closed. */
  release(): Promise<void>;
}

/**
 * The one way into a broker's file: its place, its lock, its options, who else may read it, its registry. Each step needs those
 * before it, and a failure undoes them.
 * @param options over those of the file, for this run only.
 * @param onOptions gets the options, before the registry is opened with them.
 * @param onDurable gets how long each commit took, in seconds.
 * @throws BrokerError what is in the way, of any step.
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

/** Says what there is, and what a crash has cost: nothing that was acknowledged. */
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
