import type { Row } from './row.ts';
import { kill, power, selfProof, volatile } from './rows/cuts.ts';
import { etcdHistories, etcdWatches } from './rows/etcd.ts';
import { histories } from './rows/histories.ts';
import { hung } from './rows/hung.ts';
import { lock } from './rows/lock.ts';
import { soak, watch } from './rows/running.ts';
import { limit, restart } from './rows/size.ts';
import { suiteRows } from './rows/suites.ts';
import { sweepRow, syncErrors } from './rows/sweeps.ts';
import { tight } from './rows/tight.ts';

export const rows: readonly Row[] = [
  kill,
  power,
  volatile,
  selfProof,
  sweepRow,
  syncErrors,
  tight,
  hung,
  watch,
  histories,
  etcdHistories,
  etcdWatches,
  lock,
  soak,
  limit,
  restart,
  ...suiteRows,
];

/** Rows of the proof's table that wait for a part of the product. */
export const notBuiltYet: readonly string[] = [
  'row 10, jumps of the clock',
  'row 16, 1,000 nodes that boot at once',
];
