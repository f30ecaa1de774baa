/// <reference lib="esnext.disposable" preserve="true" />
import { runtime } from '#runtime';
import type { Hono } from 'hono';
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Config } from '../config/schema.ts';
import type { Module } from '../modules/module.ts';
import { type BrokerMeasures, createBrokerMeasures, createBrokerMetrics } from './metrics/broker-metrics.ts';
import { createExtensions } from '../extensions/extensions.ts';
import { builtIn } from '../modules/built-in.ts';
import { scriptHostCommand } from '../extensions/host/command.ts';
import { pythonHostCommand } from '../extensions/host/python.ts';
import type { JsonObject } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { createEnding } from '../protocol/ending.ts';
import { harmless, type LogFields, type Logger, silentLogger } from '../protocol/logger.ts';
import type { Store } from '../store/store.ts';
import { createApi } from '../api/api.ts';
import { createAudit } from '../api/audit/audit.ts';
import { auditedServices } from '../api/audit/audited-services.ts';
import { createMeasures } from '../api/metrics/measures.ts';
import { createBrokerAudit } from './audit/broker-audit.ts';
import { type Backups, startBackups } from './backups/backups.ts';
import { createSelfQuery } from './health/checks/self-query.ts';
import { loadCertificate } from './certificate.ts';
import { closeToOthers } from './opening/file-permissions.ts';
import { closeInOrder } from './close-steps.ts';
import { createCluster } from './cluster.ts';
import { createCallKeys } from './call-keys.ts';
import { createScheduleMonitor } from '../protocol/schedule-monitor.ts';
import { type OpenedRegistry, openRegistry } from './opening/open-registry.ts';
import { isSame } from './opening/live-configuration.ts';
import { optionWarnings } from './opening/option-warnings.ts';
import { createKeyedDiscovery, type KeyedDiscovery } from './discovery/keyed-discovery.ts';
import { type BrokerAddress, type Listeners, listen } from './listeners.ts';
import { watchHealth } from './health/self-check.ts';

export type { BrokerAddress } from './listeners.ts';

export interface BrokerOptions {
  /** The configuration file, which holds the registry too; made when it does not exist. */
  readonly file: string;
  /** Options over those of the file, for this run only, in the file's shape. */
  readonly config?: JsonObject;
  /** Whether the machine's global file has no part in its options; default: it applies beneath them. */
  readonly isEmbedded?: boolean;
  /** The log; default: none. */
  readonly log?: Logger;
  /** Modules of the embedding program, by name; like any module, each needs its key in the configuration. */
  readonly modules?: Readonly<Record<string, Module>>;
  /** The extension directory; it need not exist. Default: `lib` beside the file. */
  readonly extensionDir?: string;
  /** The folder for backups, made with the first one. Default: `backups` beside the file. */
  readonly backupDir?: string;
  /**
   * Called after each self-check in which the broker answered, for a watchdog of the system. Other failures,
   * such as a full disk, do not count: a restart would not correct them. It must not throw.
   */
  readonly onAlive?: () => void;
  /** The longest time between self-checks, in milliseconds, whatever `_global.healthcheck_freq_sec` says. */
  readonly checkEveryMs?: number | undefined;
  /**
   * Called with the options of the broker, once they are read and before the registry is opened. It must not
   * throw.
   */
  readonly onOptions?: (options: Config) => void;
  /** The number of lost lines of the log so far; default: not counted. */
  readonly lostLines?: () => number;
  /** Writes a line of an audit trail that goes to the log; default: like any line of level `info`. */
  readonly auditToLog?: (fields: LogFields) => void;
  /**
   * The command of the program that hosts extensions in TypeScript and JavaScript; default: this runtime with
   * our own host.
   */
  readonly scriptHost?: () => readonly string[];
}

/** A broker that holds its registry and can serve. */
export interface Broker {
  /** The API as a Hono app, to mount in a server of your own. */
  readonly app: Hono;
  /** The registry itself. */
  readonly store: Store;
  /** Whether its file did not exist before, so that the registry is new. */
  readonly isNew: boolean;
  /** Its present configuration, all layers merged. */
  readonly config: Config;
  /**
   * Reads its file again and takes over the options: keys, modules, periods, certificate, discovery key.
   * Options that need a restart are logged.
   * @throws BrokerError `invalid_config` for malformed or wrong options: the old ones stay valid then.
   */
  reload(): Promise<void>;
  /**
   * Serves the API (TCP) and answers discovery (UDP) as configured.
   * @throws BrokerError `unavailable` when a port is taken or may not be opened; `invalid_config` for a bad
   * certificate.
   */
  listen(): Promise<BrokerAddress>;
  /** Ends requests in progress, writes everything to its file and closes it. It may be called twice. */
  close(): Promise<void>;
  /** `await using broker = await createBroker(…)` closes it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The longest time that `close` waits for requests in progress, in milliseconds. */
const CLOSE_GRACE_MS = 5000;
/** The longest time that it waits for calls of extensions, in milliseconds. */
const EXTENSION_GRACE_MS = 3000;

/** Opens the broker on a file: it takes the lock, reads the configuration and loads the registry. */
export async function openBroker({
  file,
  config: options,
  isEmbedded = false,
  log: givenLog = silentLogger,
  modules = {},
  extensionDir = path.join(path.dirname(file), 'lib'),
  scriptHost = () => scriptHostCommand(),
  backupDir = path.join(path.dirname(file), 'backups'),
  onAlive,
  checkEveryMs = Infinity,
  onOptions = () => undefined,
  lostLines,
  auditToLog,
}: BrokerOptions): Promise<Broker> {
  const log = harmless(givenLog);
  const measured = createBrokerMeasures();
  const { observe } = measured.durable;
  const source = { file, options, isEmbedded, log, modules, extensionDir };
  const opened = await openRegistry(source, onOptions, observe);
  return compose({
    ...opened,
    file,
    log,
    modules,
    extensionDir,
    scriptHost,
    backupDir,
    onAlive,
    checkEveryMs,
    measured,
    lostLines: () => lostLines?.(),
    auditToLog: auditToLog ?? ((fields) => log.info('audit', fields)),
  });
}

type Given = 'file' | 'log' | 'modules' | 'extensionDir' | 'scriptHost' | 'backupDir' | 'auditToLog';

interface Parts extends OpenedRegistry, Required<Pick<BrokerOptions, Given>> {
  readonly onAlive: (() => void) | undefined;
  readonly checkEveryMs: number;
  readonly measured: BrokerMeasures;
  readonly lostLines: () => number | undefined;
}

function compose(parts: Parts): Broker {
  const { store, configuration, log, shared } = parts;
  const isShared = shared !== undefined;
  const schedules = createScheduleMonitor();
  const closing = createEnding();
  const measures = createMeasures();
  // Copies of one file or image have the same registry's id and the same certificate. This id distinguishes
  // them.
  const instance = randomBytes(8).toString('hex');
  const trail = createBrokerAudit({
    file: parts.file,
    config: configuration.effective._audit,
    instance,
    revision: () => store.revision,
    log,
    toLog: parts.auditToLog,
  });
  const audit = createAudit(trail.sink);
  const { ping, services } = builtIn(store, measures.waits);
  const own = { ping, services: auditedServices(services, audit) };
  const modules = new Map(Object.entries({ ...parts.modules, ...own }));
  const callKeys = createCallKeys(() => api.reviewStreams());
  const extensions = createExtensions({
    dir: parts.extensionDir,
    config: configuration.effective,
    services: own.services,
    log,
    onCall: parts.measured.extensions.observe,
    hostCommand: (kind, options) => (kind === 'python' ? pythonHostCommand(options) : parts.scriptHost()),
    grantAccess: () =>
      callKeys.give(open && { ...open.address, listenIp: configuration.effective.api.listen_ip }),
  });
  const has = async (name: string): Promise<boolean> => (await store.get(name)) !== undefined;
  const discoveryOf = (config: Config): KeyedDiscovery | undefined =>
    createKeyedDiscovery({ config, id: store.id, instance, isShared });
  const backupsOf = ({ _config: config }: Config): Backups =>
    startBackups({
      file: parts.file,
      dir: parts.backupDir,
      store,
      config,
      options: () => configuration.written,
      schedule: schedules.of('backups'),
      log,
    });
  // A reload makes these again from the new options.
  let discovery = discoveryOf(configuration.effective);
  let backups = backupsOf(configuration.effective);

  let listeners: Promise<Listeners> | undefined;
  let open: Listeners | undefined;
  let reloading: Promise<void> = Promise.resolve();
  let closed: Promise<void> | undefined;

  const selfQuery = createSelfQuery();
  const cluster = shared && createCluster(shared, instance);
  const health = watchHealth({
    ...parts,
    schedules,
    selfQuery,
    config: () => configuration.effective,
    backups: { problem: () => backups.problem() },
    audit: trail.state,
    listeners: () => open,
  });
  const api = createApi({
    config: configuration.effective,
    registry: store,
    measures,
    others: createBrokerMetrics({
      ...parts.measured,
      store,
      backups: { lastWell: () => backups.lastWell() },
      listeners: () => open,
      lostLines: parts.lostLines,
      audit: trail.state,
    }),
    audit,
    services: own.services,
    modules,
    findExtension: (name) => extensions.find(name),
    amendKeys: callKeys.amend,
    log,
    readiness: () => health.readiness(),
    closing: closing.signal,
    identity: { id: store.id, instance, ...(isShared && { shared: true }) },
    about: () => ({
      Host: hostname(),
      ...(open ? { Fingerprint: `sha256:${open.address.fingerprint}` } : {}),
    }),
    ownNames: [hostname()],
    shareHeaders: runtime.sharedHeaders,
    cluster: cluster && (() => cluster.look()),
    discovery: { exchange: (query, source) => discovery?.exchange(query, source) },
  });

  const close = async (): Promise<void> => {
    closing.end(new BrokerError('unavailable', 'The broker is stopping'));
    health.close();
    selfQuery.close();
    await reloading;
    // The reverse order of opening.
    await closeInOrder([
      // This comes before the listeners close, so that callers still get the result of their calls.
      () => extensions.close(EXTENSION_GRACE_MS),
      // An error in opening the listeners was reported to the caller of `listen`.
      async () => (await listeners?.catch(() => undefined))?.close(CLOSE_GRACE_MS),
      ...[...modules.values()].map((module) => async () => module.close?.()),
      // A store that closes hurries the backup in progress, and ends after it.
      [() => backups.close(), () => store.close()],
      () => audit.flush().then(() => trail.close()),
      () => parts.release(),
    ]);
  };

  const closeOnce = (): Promise<void> => (closed ??= close());

  async function reload(): Promise<void> {
    let letFormerGo: (() => Promise<void>) | undefined;
    const { before, needRestart } = await configuration.reload(async (next) => {
      const certificate = await loadCertificate(next.api, parts.file, log, shared);
      const isSameKey = isSame(configuration.effective['discover'], next['discover']);
      const present = isSameKey ? discovery : discoveryOf(next);
      // The ports come last: clients see their change, and any step before may refuse the options.
      letFormerGo = await parts.trailLock.take(next._audit, async () =>
        open?.renew({ certificate, discovery: present }),
      );
      discovery = present;
    });
    const now = configuration.effective;
    await closeToOthers(parts.file, configuration.written, log);
    extensions.configure(now);
    api.configure(now);
    // This comes before steps that can fail: the trail must be where its lock is.
    trail.configure(now._audit);
    await letFormerGo?.();
    if (!isSame(before._config, now._config)) {
      await backups.close();
      backups = backupsOf(now);
    }
    health.checkSoon();
    for (const problem of await optionWarnings(configuration, parts)) log.warn(problem, { file: parts.file });
    if (needRestart.length > 0) {
      log.warn('these options take effect at the next start', { options: needRestart.join(', ') });
    }
    log.info('the options were taken over anew', { file: parts.file });
  }

  return {
    app: api.app,
    store,
    isNew: configuration.document === undefined,
    get config() {
      return configuration.effective;
    },
    reload() {
      if (closed) return Promise.reject(new BrokerError('unavailable', 'The broker has been closed'));
      // One after another, even if the one before failed.
      const next = reloading.then(reload);
      reloading = next.catch(() => undefined);
      return next;
    },
    async listen() {
      if (closed) throw new BrokerError('unavailable', 'The broker has been closed');
      const doors = {
        fetch: api.fetch,
        api: configuration.effective.api,
        file: parts.file,
        shared,
        has,
        discovery,
        log,
        isOwn: selfQuery.isOwn,
      };
      listeners ??= listen(doors);
      try {
        open = await listeners;
        cluster?.announce(open.address.url);
        health.checkSoon();
        return open.address;
      } catch (error) {
        // At the next call the port may be free, or the certificate corrected.
        listeners = undefined;
        throw error;
      }
    },
    close: closeOnce,
    [Symbol.asyncDispose]: closeOnce,
  };
}
