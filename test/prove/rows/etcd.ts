/** Rows of the registry in an etcd cluster: three brokers over three members, each on a host of its own, that fail. */
import { runScene, skipEtcd } from '../etcd/hosts.ts';
import type { Row } from '../row.ts';

export const etcdHistories: Row = {
  name: 'etcd-histories',
  shows: '11 (etcd), 12',
  what:
    'histories of concurrent Register, Replace, Update, Delete, Get and conditional writes through 3 brokers over 3 members of etcd, while members and brokers ' +
    'are killed, stopped and cut off. Checked are linearizability, and every change against what etcd has kept',
  bound: { short: 120, long: 1500 },
  skip: skipEtcd,
  run: async (setup) => await runScene('histories', setup),
};

export const etcdWatches: Row = {
  name: 'etcd-watches',
  shows: '13 (etcd)',
  what:
    'watches resumed across 50 deaths of brokers and 20 compactions of etcd, some of which a broker does not see. Checked are every change against what etcd ' +
    'itself reports, and the entries that a reader has in the end against the registry',
  bound: { short: 120, long: 600 },
  skip: skipEtcd,
  run: async (setup) => await runScene('watches', setup),
};
