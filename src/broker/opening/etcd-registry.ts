import { runtime } from '#runtime';
import { readFile } from 'node:fs/promises';
import { replaceFile } from '../../config/atomic-write.ts';
import type { Config } from '../../config/schema.ts';
import { DEFAULT_PREFIX } from '../../protocol/addresses/endpoint.ts';
import { isObject, type JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { LogFields, Logger } from '../../protocol/logger.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import type { SecureFetch } from '../../runtime/runtime.ts';
import { etcdStore, type EtcdStore } from '../../store/etcd/etcd-store.ts';
import { writeBackup } from '../../store/file/backup/backup-text.ts';
import { asBrokerError } from '../../store/file/disk-errors.ts';
import type { BrokerStore, SharedRegistry } from './broker-store.ts';
import { closePrivateKey } from './file-permissions.ts';
import type { LiveConfiguration } from './live-configuration.ts';

/** An open registry in etcd. */
export interface EtcdRegistry {
  readonly store: BrokerStore;
  readonly shared: SharedRegistry;
  /** Closes the connections; the store must have been closed before. */
  release(): void;
}

/**
 * Opens the registry of `_store.driver: etcd`. The file keeps only the options. It is created if needed, and
 * never written again.
 * @throws BrokerError `invalid_config` when etcd is too old, refuses the broker, or a file of `_store` cannot
 * be used; `unavailable` when it does not answer.
 */
export async function openEtcdRegistry(
  file: string,
  configuration: LiveConfiguration,
  log: Logger,
): Promise<EtcdRegistry> {
  const { _store: options } = configuration.effective;
  const { endpoints = [], prefix, username, password, max_bytes: maxBytes } = options;
  await keepOptions(file, configuration, log);
  if (holdsEntries(configuration)) {
    log.warn("the file holds entries, which are not served: the registry is in etcd ('_store.driver')", {
      file,
    });
  }
  const secure = await openEtcdFetch(options, log);
  const store = etcdStore({
    endpoints,
    maxBytes,
    log: (level, message) => log[level](message),
    ...(secure && { fetch: secure.fetch }),
    ...(prefix !== undefined && { prefix }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  });
  log.info('waiting for etcd', logFieldsOf(options));
  try {
    await store.ready();
  } catch (error) {
    await store.close();
    secure?.close();
    throw error;
  }
  const isPrivate = endpoints.every(isPrivateEndpoint);
  if (!isPrivate) {
    log.warn(
      'entries and password can be read and changed on the network on their way to etcd; use https endpoints',
      { endpoints: endpoints.join(' ') },
    );
  }
  return {
    store: Object.assign(store, {
      backUp: (target: (revision: number) => string) => backUp(store, file, configuration, target),
      recovery: undefined,
      rewriteProblem: () => undefined,
      neededBytes: () => 0,
      diskProblem: () => Promise.resolve(undefined),
    }),
    shared: {
      common: (name, make) => store.common(name, make),
      join: (id, about) => store.join(id, about),
      members: () => store.members(),
      isPrivate,
    },
    release: () => secure?.close(),
  };
}

/** The place of a registry in etcd, for the log. An endpoint holds no password. */
export function logFieldsOf({ endpoints = [], prefix = DEFAULT_PREFIX }: Config['_store']): LogFields {
  return { endpoints: endpoints.join(' '), prefix };
}

/** The first start writes out the options, as with any other driver. */
async function keepOptions(file: string, configuration: LiveConfiguration, log: Logger): Promise<void> {
  if (configuration.document !== undefined) return;
  await replaceFile(file, [`${JSON.stringify(configuration.written, undefined, 2)}\n`], { mode: 0o600 });
  configuration.edits.wrote();
  log.info('made the file of options', { file });
}

export function holdsEntries({ document }: LiveConfiguration): boolean {
  if (document === undefined) return false;
  const { services } = document.options;
  const plain =
    Object.keys(document.plain).length +
    Object.keys(isObject(services) ? services : {}).filter((key) => !key.startsWith('_')).length;
  return plain > 0 || document.registry().entries.size > 0;
}

/** Authorities and a client certificate are read once: their change needs a restart. */
export async function openEtcdFetch(
  { ca, cert, key }: Config['_store'],
  log: Logger,
): Promise<SecureFetch | undefined> {
  if (ca === undefined && cert === undefined) return undefined;
  const authorities = ca === undefined ? undefined : await readAuthoritiesOf(ca);
  // Before its permissions are looked at: a file that is missing is named by its option.
  const own = {
    ...(cert !== undefined && { cert: await readPem(cert, '_store.cert') }),
    ...(key !== undefined && { key: await readPem(key, '_store.key') }),
  };
  if (key !== undefined) await closePrivateKey(key, log);
  return await runtime.openFetch({ ...(authorities && { authorities }), ...own });
}

async function readAuthoritiesOf(file: string): Promise<readonly string[]> {
  const { parseAuthorities } = await import('../../runtime/tls/authorities.ts');
  try {
    return parseAuthorities(await readPem(file, '_store.ca'), `_store.ca: ${file}`);
  } catch (error) {
    throw new BrokerError('invalid_config', (error as Error).message, { cause: error });
  }
}

async function readPem(file: string, option: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new BrokerError('invalid_config', `${option}: cannot read ${file}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** Whether only etcd can read the data on its way to a member. */
export function isPrivateEndpoint(endpoint: string): boolean {
  const { protocol, hostname } = new URL(endpoint);
  return protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

async function backUp(
  store: EtcdStore,
  file: string,
  { written }: LiveConfiguration,
  target: (revision: number) => string,
): ReturnType<BrokerStore['backUp']> {
  const snapshot = await store.snapshot();
  const path = target(snapshot.revision);
  const options: JsonObject = written;
  try {
    const content = {
      options,
      identity: { id: store.id, since: 0 },
      snapshot,
      revision: () => store.revision,
    };
    const bytes = await writeBackup(path, file, content);
    return { path, revision: snapshot.revision, bytes };
  } catch (error) {
    throw asBrokerError(error, `Cannot write ${path}`);
  } finally {
    snapshot.end();
  }
}
