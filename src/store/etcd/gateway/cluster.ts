import { DEFAULT_PREFIX } from '../../../protocol/addresses/endpoint.ts';
import type { EtcdStoreOptions } from '../etcd-options.ts';
import { fetchOnce } from './fetch-once.ts';
import { createGateway, type Gateway } from './gateway.ts';
import { createKeys, type Keys } from '../keys.ts';

/** The access to a registry in etcd. */
export interface Cluster {
  readonly gateway: Gateway;
  readonly keys: Keys;
}

export type ClusterOptions = Pick<
  EtcdStoreOptions,
  'endpoints' | 'fetch' | 'username' | 'password' | 'prefix'
>;

export function openCluster(options: ClusterOptions): Cluster {
  const { endpoints, username, password = '', prefix = DEFAULT_PREFIX } = options;
  const gateway = createGateway({
    endpoints: endpoints.map((url) => url.replace(/\/$/, '')),
    fetch: options.fetch ?? fetchOnce,
    credentials: username === undefined ? undefined : { username, password },
  });
  return { gateway, keys: createKeys(prefix) };
}
