import type { JsonObject } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { within } from '../protocol/within.ts';
import type { Module } from '../modules/module.ts';
import { loadExecutable } from './executables/executable-module.ts';
import { readLimits } from './limits.ts';
import type { ExtensionsOptions, LoadedExtension, Parts } from './loaded-extension.ts';
import { createLocks } from './locks.ts';
import { findExtension, versionOf } from './lookup.ts';
import { unsafePart } from './ownership.ts';
import { loadScript } from './scripts/script-module.ts';
import { createSemaphore, type Semaphore } from './semaphore.ts';

/** Modules that are no part of the broker: files in the extension directory, run outside its process (contract, section 7). */
export interface Extensions {
  /**
   * The module behind a whitelisted name, or nothing where no file of that name is there.
   * @throws BrokerError `extension_failed` when it must not be run; `invalid_config` for a malformed limit.
   */
  find(name: string): Promise<Module | undefined>;
  /** Takes over another configuration: it counts from the next call of each module on. */
  configure(config: Readonly<Record<string, JsonObject>>): void;
  /** Takes no further call, lets those under way finish for at most `graceMs`, then ends every process. */
  close(graceMs: number): Promise<void>;
}

/** How long what was found on the way to an extension's file counts. */
const LOOK_EVERY_MS = 1000;

export function createExtensions(options: ExtensionsOptions): Extensions {
  let { config: modules } = options;
  const loaded = new Map<string, LoadedExtension>();
  /** When the way to an extension was last looked at. */
  const lookedAt = new Map<string, number>();
  // Former versions of a file, whose last calls may still run.
  const former = new Set<LoadedExtension>();
  const locks = createLocks();
  // One for a name, also across changes of its file.
  const semaphore = new Map<string, Semaphore>();
  const looks = createLooks();
  const formerSlots: Semaphore[] = [];
  let closed = false;

  const load = async (name: string): Promise<LoadedExtension | undefined> => {
    const config = modules[name] ?? {};
    const extension = await findExtension(options.dir, name, looks);
    const present = loaded.get(name);
    if (
      present &&
      present.extension.version === extension?.version &&
      present.extension.file === extension.file
    ) {
      return present;
    }
    setAside(name);
    if (!extension) return undefined;
    const limits = readLimits(name, config);
    const { concurrency, queue } = limits;
    const turns =
      semaphore.get(name) ?? createSemaphore(`Extension '${name}'`, concurrency, queue, options.onCall);
    semaphore.set(name, turns);
    const parts: Parts = { ...options, extension, limits, turns, ownConfig: withoutKey(config) };
    const made = extension.kind === 'executable' ? loadExecutable(parts) : loadScript(parts, locks);
    loaded.set(name, made);
    return made;
  };

  const setAside = (name: string): void => {
    const present = loaded.get(name);
    if (!present) return;
    present.retire(false);
    former.add(present);
    loaded.delete(name);
  };

  return {
    configure(next) {
      const names = new Set([...loaded.keys(), ...semaphore.keys()]);
      for (const name of names) {
        if (JSON.stringify(modules[name]) === JSON.stringify(next[name])) continue;
        setAside(name);
        // Its limits may be others; calls under way keep their places in the former ones.
        const turns = semaphore.get(name);
        if (turns) formerSlots.push(turns);
        semaphore.delete(name);
      }
      modules = next;
    },
    async find(name) {
      if (closed) throw new BrokerError('unavailable', 'The broker is stopping');
      const present = loaded.get(name);
      // One look at the file at each call: a new version of it counts from the next one on. The way to it, and whether others
      // may write there, is looked at anew each second.
      const isFresh = present && performance.now() - (lookedAt.get(name) ?? -Infinity) < LOOK_EVERY_MS;
      const version = isFresh && (await versionOf(present.extension.file).catch(() => undefined));
      if (isFresh && present.extension.version === version) return present.module;
      const found = await load(name);
      lookedAt.set(name, performance.now());
      return found?.module;
    },
    async close(graceMs) {
      closed = true;
      const all = [...loaded.values(), ...former];
      for (const { retire } of all) retire(false);
      const idle = Promise.all([...semaphore.values(), ...formerSlots].map((turns) => turns.idle()));
      await within(graceMs, idle);
      for (const { retire } of all) retire(true);
      loaded.clear();
      former.clear();
    },
  };
}

/** A look through the directory counts for so many times as long as it took: a large one costs a twentieth of the time at most. */
const LOOK_PAUSE = 20;

/** Looks through the directory once for all the extensions that ask at a time. */
function createLooks(): (root: string) => Promise<string | undefined> {
  let last: Promise<string | undefined> | undefined;
  let until = 0;
  return (root) => {
    if (last && performance.now() < until) return last;
    const began = performance.now();
    until = Infinity;
    last = unsafePart(root).then(
      (reason) => {
        const now = performance.now();
        // What was refused may have been corrected.
        until = reason === undefined ? now + (now - began) * LOOK_PAUSE : 0;
        return reason;
      },
      (error: unknown) => {
        until = 0;
        throw error;
      },
    );
    return last;
  };
}

function withoutKey({ _access_key, ...rest }: JsonObject): JsonObject {
  return rest;
}
