import type { BrokerStore } from '../../opening/broker-store.ts';
import { formatBytes, freeBytes } from '../../../store/file/disk-space.ts';
import type { Finding } from '../../../api/readiness.ts';

/** Below this, somebody should make room: the registry refuses writes only when there is none at all. */
const LOW_BYTES = 100 * 1024 * 1024;
/** And below this many times what the next rewriting of the file takes. */
const LOW_REWRITINGS = 4;

/** The registry's place on the disk: whether its folder and its journal are there, and how much room is left. */
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
