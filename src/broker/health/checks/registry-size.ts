import type { StoreHealth } from '../../../store/store.ts';
import { formatBytes } from '../../../store/file/disk-space.ts';
import type { Finding } from '../../../api/readiness.ts';

/** From this part of its limit on, the check warns: at the limit, writes are refused. */
const FULL = 0.8;

/** Checks the registry's size against `_store.max_bytes`; undefined where there is no limit. */
export function checkRegistrySize({ usage }: StoreHealth): Finding {
  if (usage === undefined) return { ok: true };
  const { bytes, maxBytes } = usage;
  const found = { ok: true, bytes, max_bytes: maxBytes };
  if (bytes < FULL * maxBytes) return found;
  const part = `${Math.floor((bytes / maxBytes) * 100)} %`;
  const warning =
    `the registry counts ${formatBytes(bytes)} (${bytes} bytes), ${part} of '_store.max_bytes' (${maxBytes}); ` +
    'at the limit, writes that add to it are refused: delete entries, or raise the option and restart';
  return { ...found, warning };
}
