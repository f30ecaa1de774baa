import type { JsonObject } from '../../protocol/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Module } from '../module.ts';
import { loadExecutable } from './executable-module.ts';
import { readLimits } from './limits.ts';
import type { ExtensionsOptions, Loaded, Parts } from './loaded.ts';
import { createLocks } from './locks.ts';
import { findExtension, versionOf } from './lookup.ts';
import { loadScript } from './script-module.ts';
import { createSlots, type Slots } from './slots.ts';

/** Modules that are no part of the broker: files in the extension directory, run outside its process (contract, section 7). */
export interface Extensions {
  /**
   * The module behind a whitelisted name, or nothing where no file of that name is there.
   * @throws BrokerError `extension_failed` when it must not be run; `invalid_config` for a malformed limit.
   */
  find(name: string): Promise<Module | undefined>;
  /** Ends every process that works for an extension. */
  close(): Promise<void>;
}

export function createExtensions(options: ExtensionsOptions): Extensions {
  const loaded = new Map<string, Loaded>();
  // Former versions of a file, whose last calls may still run.
  const former = new Set<Loaded>();
  const locks = createLocks();
  // One for a name, also across changes of its file.
  const slots = new Map<string, Slots>();
  let closed = false;

  const load = async (name: string): Promise<Loaded | undefined> => {
    const config = options.config[name] ?? {};
    const extension = await findExtension(options.dir, name);
    const present = loaded.get(name);
    if (
      present &&
      present.extension.version === extension?.version &&
      present.extension.file === extension.file
    ) {
      return present;
    }
    if (present) {
      present.retire(false);
      former.add(present);
      loaded.delete(name);
    }
    if (!extension) return undefined;
    const limits = readLimits(name, config);
    const turns = slots.get(name) ?? createSlots(`Extension '${name}'`, limits.concurrency, limits.queue);
    slots.set(name, turns);
    const parts: Parts = { ...options, extension, limits, turns, ownConfig: withoutKey(config) };
    const made = extension.kind === 'executable' ? loadExecutable(parts) : loadScript(parts, locks);
    loaded.set(name, made);
    return made;
  };

  return {
    async find(name) {
      if (closed) throw new BrokerError('unavailable', 'The broker is stopping');
      const present = loaded.get(name);
      // One look at the file that is running: a new version of it counts from the next call on.
      const version = present && (await versionOf(present.extension.file).catch(() => undefined));
      if (present && present.extension.version === version) return present.module;
      return (await load(name))?.module;
    },
    async close() {
      closed = true;
      for (const { retire } of [...loaded.values(), ...former]) retire(true);
      loaded.clear();
      former.clear();
    },
  };
}

function withoutKey({ _access_key, ...rest }: JsonObject): JsonObject {
  return rest;
}
