import { messageOf } from '../../../protocol/errors.ts';
import { decodeEntry, type StoredEntry } from '../entry-value.ts';
import { grpcOf, OUT_OF_RANGE } from '../gateway/failures.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Keys } from '../keys.ts';
import { type KeyValue, modRevisionOf, revisionOf } from '../gateway/messages.ts';
import { readKey, readPages } from '../gateway/pages.ts';
import type { RegistryStatus } from '../registry-status.ts';

/** The registry at one revision. */
export interface Loaded {
  readonly entries: readonly StoredEntry[];
  /** etcd's revision of this state. */
  readonly revision: number;
  /** etcd's revision at the beginning of the reading: the difference between the two comes as changes. */
  readonly present: number;
}

export interface Loading {
  readonly gateway: Gateway;
  readonly keys: Keys;
  /** Gets the registry's identity. */
  readonly status: RegistryStatus;
  /**
   * The number of revisions before the present one at which to read, so that later changes come one by one.
   * If those have been compacted, the present one is used. It never goes back before the opening of the
   * registry, whose earlier keys were no changes of it.
   */
  readonly behind: number;
  /** Called once etcd answers, and for each page, with the number of keys so far. It ends the reading by throwing. */
  readonly onRead: (keys: number) => void;
  /** Called for a value that no broker has written: it is left out. */
  readonly onProblem: (problem: string) => void;
}

/** Reads every entry, page by page, at one revision. */
export async function loadEntries(loading: Loading): Promise<Loaded> {
  const { gateway, keys, status, behind } = loading;
  const { header, kv } = await readKey(gateway, keys.registry);
  const present = revisionOf(header);
  status.take(kv, present);
  loading.onRead(0);
  const opened = Math.max(1, modRevisionOf(kv));
  try {
    return { ...(await loadAt(loading, Math.max(opened, present - behind))), present };
  } catch (error) {
    if (grpcOf(error) !== OUT_OF_RANGE || behind === 0) throw error;
    return { ...(await loadAt(loading, present)), present };
  }
}

async function loadAt(loading: Loading, revision: number): Promise<Omit<Loaded, 'present'>> {
  const { gateway, keys } = loading;
  const entries: StoredEntry[] = [];
  let read = 0;
  for await (const kvs of readPages(gateway, keys.entries, revision)) {
    read += kvs.length;
    loading.onRead(read);
    for (const kv of kvs) {
      const stored = tryDecode(loading, kv);
      if (stored) entries.push(stored);
    }
  }
  return { entries, revision };
}

function tryDecode({ keys, status, onProblem }: Loading, kv: KeyValue): StoredEntry | undefined {
  const name = keys.nameOf(kv.key);
  if (name === undefined) return undefined;
  try {
    return decodeEntry(name, kv, status.offset);
  } catch (error) {
    onProblem(messageOf(error));
    return undefined;
  }
}
