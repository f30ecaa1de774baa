import type { JsonObject } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { resolveWithin } from '../protocol/timeout.ts';
import type { Module } from '../modules/module.ts';
import { loadExecutable } from './executables/executable-module.ts';
import { readLimits } from './limits.ts';
import type { ExtensionsOptions, LoadedExtension, ModuleParts } from './loaded-extension.ts';
import { createLocks } from './locks.ts';
import { findExtension, versionOf } from './lookup.ts';
import { unsafePart } from './ownership.ts';
import { loadScript } from './scripts/script-module.ts';
import { createSemaphore, type Semaphore } from './semaphore.ts';

/**
 * The modules that are not part of the broker: files in the extension directory, run outside its process
 * (contract, section 7).
 */
export interface Extensions {
  /**
   * The module of a whitelisted name; undefined where no file has that name.
   * @throws BrokerError `extension_failed` when it must not be run; `invalid_config` for a malformed limit.
   */
  find(name: string): Promise<Module | undefined>;
  /** Takes over another configuration: it is valid from the next call of each module. */
  configure(config: Readonly<Record<string, JsonObject>>): void;
  /**
   * Refuses further calls, lets those in progress finish for at most `graceMs` milliseconds, then ends every
   * process. It waits at most a second until what they printed is in the log.
   */
  close(graceMs: number): Promise<void>;
}

/** How long killed processes have to end, in milliseconds: the system may keep one that waits for a device. */
const END_MS = 1000;

/** How long a check of the folders above an extension is valid, in milliseconds. */
const LOOK_EVERY_MS = 1000;

/** Creates the lookup of extensions; it starts no process before the first call. */
export function createExtensions(options: ExtensionsOptions): Extensions {
  let { config: modules } = options;
  const loaded = new Map<string, LoadedExtension>();
  /** The time of the last check for each extension. */
  const lookedAt = new Map<string, number>();
  // Former versions of a file, whose last calls may still be running.
  const former = new Set<LoadedExtension>();
  const locks = createLocks();
  // One for each name, kept when its file changes.
  const semaphores = new Map<string, Semaphore>();
  const looks = createLooks();
  const formerSemaphores: Semaphore[] = [];
  let closed = false;

  const load = async (name: string): Promise<LoadedExtension | undefined> => {
    const extension = await findExtension(options.dir, name, looks);
    // Read only now: a reload may have come meanwhile.
    const config = modules[name] ?? {};
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
    const semaphore =
      semaphores.get(name) ?? createSemaphore(`Extension '${name}'`, concurrency, queue, options.onCall);
    semaphores.set(name, semaphore);
    const parts: ModuleParts = { ...options, extension, limits, semaphore, ownConfig: withoutKey(config) };
    const made = extension.kind === 'executable' ? loadExecutable(parts) : loadScript(parts, locks);
    loaded.set(name, made);
    return made;
  };

  const setAside = (name: string): void => {
    const present = loaded.get(name);
    if (!present) return;
    void present.retire(false);
    former.add(present);
    loaded.delete(name);
  };

  return {
    configure(next) {
      const names = new Set([...loaded.keys(), ...semaphores.keys()]);
      for (const name of names) {
        if (JSON.stringify(modules[name]) === JSON.stringify(next[name])) continue;
        setAside(name);
        // Its limits may have changed; calls in progress keep their places in the old semaphores.
        const semaphore = semaphores.get(name);
        if (semaphore) formerSemaphores.push(semaphore);
        semaphores.delete(name);
      }
      modules = next;
    },
    async find(name) {
      if (closed) throw new BrokerError('unavailable', 'The broker is stopping');
      const present = loaded.get(name);
      // Each call checks the file once, so a new version runs from the next call on. The folders above it,
      // and whether others may write to them, are checked again each second.
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
      for (const { retire } of all) void retire(false);
      const idle = Promise.all(
        [...semaphores.values(), ...formerSemaphores].map((semaphore) => semaphore.idle()),
      );
      await resolveWithin(graceMs, idle);
      await resolveWithin(END_MS, Promise.all(all.map(({ retire }) => retire(true))));
      loaded.clear();
      former.clear();
    },
  };
}

/**
 * A check of the directory is valid for this many times its duration: a large directory costs at most a
 * twentieth of the time.
 */
const LOOK_PAUSE = 20;

/** Checks the directory once for all extensions that ask at the same time. */
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
        // A refused directory may have been corrected.
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
