import type { BrokerStore } from '../../opening/broker-store.ts';
import { formatBytes, freeBytes } from '../../../store/file/disk-space.ts';
import type { Finding } from '../../../api/readiness.ts';

/**
 * Below this number of free bytes, the check warns. The registry refuses writes only when the disk is full.
 */
const LOW_BYTES = 100 * 1024 * 1024;
/** It also warns below this many times the size of the next rewriting of the file. */
const LOW_REWRITINGS = 4;

/**
 * Checks the registry's place on the disk: its folder and its journal must exist, and some room must be free.
 */
export async function checkDisk(store: BrokerStore, dir: string): Promise<Finding> {
  const reason = await store.diskProblem();
  if (reason !== undefined) return { ok: false, reason };
  const free = await freeBytes(dir);
  const low = Math.max(LOW_BYTES, LOW_REWRITINGS * store.neededBytes());
  if (free >= low) return { ok: true, free_bytes: free };
  return {
    ok: true,
    free_bytes: free,
    warning: `${formatBytes(free)} are free at ${dir}; below ${formatBytes(low)}`,
  };
}
