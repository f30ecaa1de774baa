import {
  etcdStore,
  type EtcdStore,
  type EtcdStoreOptions,
  type EtcdFetch,
} from '../../../src/store/etcd/etcd-store.ts';
import { waitFor } from '../../support/wait.ts';

let prefixes = 0;

/** A prefix that no other test has. */
export function newPrefix(): string {
  return `/test/${process.pid}-${prefixes++}/`;
}

/** Opens a registry, and waits until it can be used. */
export async function openEtcd(options: EtcdStoreOptions): Promise<EtcdStore> {
  const store = etcdStore(options);
  // A store gives up after its own time, which may be short in a test: no test is about the time of opening.
  await waitFor('the registry to open', () => store.ready().then(() => true));
  return store;
}

/** What `fetch` does for a test: it sees each request before it is made, and may do something else. */
export function interceptedFetch(
  intercept: (path: string, body: string, pass: () => Promise<Response>) => Promise<Response>,
  inner: EtcdFetch = fetch,
): EtcdFetch {
  return (input, init) => {
    const { pathname } = new URL(input);
    return intercept(pathname, typeof init.body === 'string' ? init.body : '', () => inner(input, init));
  };
}
