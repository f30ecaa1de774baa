import { before, describe, it } from 'node:test';
import { storeContract } from '../../../src/store/contract/index.ts';
import { type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { lacking } from '../../support/programs/tools.ts';
import { newPrefix, openEtcd } from './etcd-support.ts';

const skip = lacking('etcd');

describe('a cluster of three members', { skip, timeout: 180_000 }, () => {
  let cluster: EtcdCluster;

  before(async () => {
    cluster = await startEtcd();
  });

  storeContract({
    driver: 'etcd driver',
    describe,
    it,
    // Leases are counted in seconds, and 2 is the least that etcd grants.
    shortTtlMs: 2000,
    async open() {
      const options = { endpoints: cluster.endpoints, prefix: newPrefix() };
      let store = await openEtcd(options);
      return {
        store,
        async reopen() {
          await store.close();
          store = await openEtcd(options);
          return store;
        },
        dispose: () => store.close(),
      };
    },
  });
});
