import type { Hono } from 'hono';
import path from 'node:path';
import type { Config } from '../config/schema.ts';
import type { Module } from '../modules/module.ts';
import { createExtensions } from '../modules/extensions/extensions.ts';
import { ping } from '../modules/ping.ts';
import { createServices } from '../modules/services/services.ts';
import { scriptHostCommand } from '../extension-host/command.ts';
import { pythonHostCommand } from '../extension-host/python.ts';
import type { JsonObject } from '../protocol/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { type Logger, silentLogger } from '../protocol/logger.ts';
import { type FileStore, openFileStore } from '../store/file/file-store.ts';
import { acquireLock } from '../store/file/lock.ts';
import type { Store } from '../store/store.ts';
import { createAccessKeys } from './api/access-keys.ts';
import { createApp } from './api/app.ts';
import { type Backups, startBackups } from './backups/backups.ts';
import { createSelfQuery } from './health/checks/self-query.ts';
import { loadConfiguration } from './configuration.ts';
import { createDispatcher } from './api/dispatcher.ts';
import { closeToOthers } from './exposure.ts';
import { createGrants } from './api/grants.ts';
import { createKeyedDiscovery } from './discovery/keyed-discovery.ts';
import { type BrokerAddress, type Listeners, listen } from './listeners.ts';
import { watchHealth } from './health/self-check.ts';
import { preparePlace } from './place.ts';
import { createStreamLimit } from './api/streams.ts';

export type { BrokerAddress } from './listeners.ts';

export interface BrokerOptions {
  /** The configuration file, which holds the registry too; made when it does not exist. */
  readonly file: string;
  /** Options over those of the file, for this run only, in the file's shape. */
  readonly config?: JsonObject;
  /** Where to say what happens; default: nowhere. */
  readonly log?: Logger;
  /** Modules of whoever embeds the broker, by name; each needs its key in the configuration, as any module. */
  readonly modules?: Readonly<Record<string, Module>>;
  /** The extension directory; it need not exist. Default: `lib` beside the file. */
  readonly extensionDir?: string;
  /** Where backups go; made when the first is. Default: `backups` beside the file. */
  readonly backupDir?: string;
  /**
   * Called after each self-check that found that the broker answers: what a watchdog of the system is told. Other failures,
   * such as a full disk, do not count: a restart would not mend them. It must not throw.
   */
  readonly onAlive?: () => void;
  /** Self-checks come at least this often, in milliseconds, whatever `_global.healthcheck_freq_sec` says. */
  readonly checkEveryMs?: number | undefined;
  /** The program that hosts extensions in TypeScript and JavaScript; default: this runtime with our own host. */
  readonly scriptHost?: () => readonly string[];
}

/** A broker that holds its registry and can serve. */
export interface Broker {
  /** The API as a Hono app, to mount in a server of your own. */
  readonly app: Hono;
  /** The registry itself. */
  readonly store: Store;
  /** What it runs with, all layers merged. */
  readonly config: Config;
  /**
   * Serves the API (TCP) and answers discovery (UDP) as the configuration says.
   * @throws BrokerError `unavailable` when a port is taken or may not be opened; `invalid_config` for a bad certificate.
   */
  listen(): Promise<BrokerAddress>;
  /** Ends what is under way, writes everything to its file and lets go of it. Safe to call twice. */
  close(): Promise<void>;
}

/** Event streams that may be open at a time: those of one access key, and all of them (security page). */
const streamLimits = { perHolder: 64, overall: 1000 };
/** Longest that `close` lets requests under way take. */
const CLOSE_GRACE_MS = 5000;
/** Longest that it lets calls of extensions go on. */
const EXTENSION_GRACE_MS = 3000;

/** Opens the broker on a file: takes its lock, reads its configuration, loads its registry. */
export async function openBroker({
  file,
  config: options,
  log = silentLogger,
  modules = {},
  extensionDir = path.join(path.dirname(file), 'lib'),
  scriptHost = () => scriptHostCommand(),
  backupDir = path.join(path.dirname(file), 'backups'),
  onAlive,
  checkEveryMs = Infinity,
}: BrokerOptions): Promise<Broker> {
  const taken = ['ping', 'services'].find((name) => Object.hasOwn(modules, name));
  if (taken !== undefined) {
    throw new BrokerError('invalid_config', `Module '${taken}' is built in; give yours another name`);
  }
  await preparePlace(file);
  const lock = await acquireLock(file);
  try {
    const { document, written, effective } = await loadConfiguration(file, options);
    await closeToOthers(file, document, log);
    const store = await openFileStore({
      file,
      document,
      options: () => written,
      log: (level, message) => log[level](message),
    });
    const { _config: config } = effective;
    const backups = startBackups({ file, dir: backupDir, store, config, options: written, log });
    const parts = { file, log, modules, extensionDir, scriptHost, store, backups, onAlive, checkEveryMs };
    return compose({ ...parts, config: effective, release: () => lock.release() });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface Parts {
  readonly file: string;
  readonly log: Logger;
  readonly modules: Readonly<Record<string, Module>>;
  readonly extensionDir: string;
  readonly scriptHost: () => readonly string[];
  readonly store: FileStore;
  readonly backups: Backups;
  readonly onAlive: (() => void) | undefined;
  readonly checkEveryMs: number;
  readonly config: Config;
  release(): Promise<void>;
}

function compose(parts: Parts): Broker {
  const { store, config, log } = parts;
  const closing = new AbortController();
  const services = createServices(store);
  const modules = new Map(Object.entries({ ...parts.modules, ping, services }));
  const grants = createGrants();
  const extensions = createExtensions({
    dir: parts.extensionDir,
    config,
    services,
    log,
    hostCommand: (kind, options) => (kind === 'python' ? pythonHostCommand(options) : parts.scriptHost()),
    grantAccess: () => grants.give(address && { ...address, listenIp: config.api.listen_ip }),
  });
  const dispatcher = createDispatcher({
    config,
    accessKeys: grants.amend(createAccessKeys(config, log)),
    findModule: (name) => modules.get(name),
    findExtension: (name) => extensions.find(name),
  });
  const has = async (name: string): Promise<boolean> => (await store.get(name)) !== undefined;
  const discovery = createKeyedDiscovery({ config, id: store.id, has });

  let listeners: Promise<Listeners> | undefined;
  let open: Listeners | undefined;
  let address: BrokerAddress | undefined;
  let closed: Promise<void> | undefined;

  const selfQuery = createSelfQuery();
  const health = watchHealth({ ...parts, selfQuery, listeners: () => open });
  const app = createApp({
    dispatcher,
    streams: createStreamLimit(streamLimits),
    log,
    readiness: () => health.readiness(),
    closing: closing.signal,
    discovery,
  });

  // In the reverse order of opening, each step whatever became of the one before.
  const close = async (): Promise<void> => {
    closing.abort(new BrokerError('unavailable', 'The broker is stopping'));
    health.close();
    const steps = [
      // While the doors are open, so that callers hear what became of their calls.
      () => extensions.close(EXTENSION_GRACE_MS),
      // Listeners that never opened were told of when they were asked for.
      async () => (await listeners?.catch(() => undefined))?.close(CLOSE_GRACE_MS),
      ...[...modules.values()].map((module) => async () => module.close?.()),
      () => parts.backups.close(),
      () => store.close(),
      () => parts.release(),
    ];
    const errors: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw errors[0];
  };

  return {
    app,
    store,
    config,
    async listen() {
      if (closed) throw new BrokerError('unavailable', 'The broker has been closed');
      const doors = { app, api: config.api, file: parts.file, has, discovery, log, isOwn: selfQuery.isOwn };
      listeners ??= listen(doors);
      try {
        open = await listeners;
        ({ address } = open);
        health.checkSoon();
        return address;
      } catch (error) {
        // The port may be free, or the certificate mended, when it is asked again.
        listeners = undefined;
        throw error;
      }
    },
    close() {
      closed ??= close();
      return closed;
    },
  };
}
