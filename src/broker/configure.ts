import { addConfiguration, mergeLayers, optionsOf } from '../config/layers.ts';
import { isObject, type JsonObject, sameData, STRING_KEY, toEntryData } from '../protocol/formats/data.ts';
import { unstamp } from '../protocol/registry/entry.ts';
import { BrokerError } from '../protocol/errors.ts';
import { silentLogger } from '../protocol/logger.ts';
import { checkName } from '../protocol/registry/names.ts';
import { openFileStore } from '../store/file/file-store.ts';
import { acquireLock } from '../store/file/lock.ts';
import type { Store } from '../store/store.ts';
import { checkServices, loadConfiguration } from './opening/configuration.ts';
import { closeToOthers } from './opening/file-permissions.ts';
import { prepareFolder } from './opening/prepare-folder.ts';

/** What was added, and what was not. */
export interface Additions {
  /** The paths of added values, such as `ossec._access_key`. */
  readonly added: readonly string[];
  /** The paths that have another value already, which was kept. */
  readonly kept: readonly string[];
}

/** The result of {@link addToConfiguration}. */
export interface Configured extends Additions {
  /** Why the options of the machine's global file do not apply beneath; absent when they do. */
  readonly globalProblem?: string;
}

/**
 * Adds options and entries to a configuration file without replacing any (contract, section 2, `configure`).
 * @param first is called before anything is written, once the addition is valid and no broker runs on the
 * file.
 * @throws BrokerError when a broker runs on the file, or the addition is not valid; any error of `first`. The
 * file is unchanged then.
 */
export async function addToConfiguration(
  file: string,
  addition: JsonObject,
  first?: () => Promise<void>,
): Promise<Configured> {
  const entries = entriesOf(addition);
  await prepareFolder(file);
  const lock = await acquireLock(file);
  try {
    const { document, global, globalProblem } = await loadConfiguration(file, undefined);
    const options = addConfiguration(optionsOf(document?.options ?? {}), optionsOf(addition));
    // Every default is spelled out in the file, so the global options must come before.
    const merged = mergeLayers({ global, file: options.document }, file);
    checkServices(addition['services'], merged, 'what is added');
    const { written } = merged;
    if (written._store.driver === 'etcd' && entries.size > 0) {
      throw new BrokerError(
        'invalid_config',
        'What is added has entries, and the registry is in etcd: register them with the broker, such as by bpbroker service register',
      );
    }
    await first?.();
    const maxBytes = written._store.max_bytes;
    const store = await openFileStore({ file, document, options: () => written, maxBytes });
    try {
      const names = await addEntries(store, entries);
      await store.rewrite();
      await closeToOthers(file, written, silentLogger);
      return {
        added: [...options.added, ...names.added],
        kept: [...options.kept, ...names.kept],
        ...(globalProblem !== undefined && { globalProblem }),
      };
    } finally {
      await store.close();
    }
  } finally {
    await lock.release();
  }
}

type NewEntries = ReadonlyMap<string, ReturnType<typeof unstamp>>;

function entriesOf({ services = {} }: JsonObject): NewEntries {
  if (!isObject(services)) throw new BrokerError('invalid_config', 'services: expected an object');
  const entries = new Map<string, ReturnType<typeof unstamp>>();
  for (const [name, stamped] of Object.entries(services)) {
    if (name.startsWith('_')) continue;
    checkName(name);
    if (typeof stamped !== 'string' && !isObject(stamped)) {
      throw new BrokerError('invalid_config', `services.${name}: expected an object or a string`);
    }
    const entry = unstamp(typeof stamped === 'string' ? { [STRING_KEY]: stamped } : stamped);
    toEntryData(entry.data);
    entries.set(name, entry);
  }
  return entries;
}

async function addEntries(store: Store, entries: NewEntries): Promise<Additions> {
  const added: string[] = [];
  const kept: string[] = [];
  for (const [name, entry] of entries) {
    const before = await store.get(name);
    if (before) {
      if (!sameData(before.data, entry.data)) kept.push(`services.${name}`);
      continue;
    }
    await store.mutate(name, () => ({ action: 'put', entry: { name, ...entry } }));
    added.push(`services.${name}`);
  }
  return { added, kept };
}
