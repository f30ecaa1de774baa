import type { NewEntry } from '../../store.ts';
import { encodeDeletion, encodeEntry } from '../entry-value.ts';
import type { Keys } from '../keys.ts';
import { type KeyValue, modRevisionOf, type TxnResponse } from '../gateway/messages.ts';

/**
 * One write of one entry. It succeeds only if neither entry nor registry have changed since, and the broker's
 * fence has not been raised.
 */
export interface Write {
  readonly name: string;
  /** etcd's revision of the replaced entry; 0 where it does not exist. */
  readonly current: number;
  /** Identifies the write. */
  readonly id: string;
  /** The new entry, with its lease; undefined for a deletion. */
  readonly next: { readonly entry: NewEntry; readonly lease: string | undefined } | undefined;
  readonly expired: boolean;
  /** Whether a deletion leaves a mark, which takes room. */
  readonly isMarked: boolean;
  /**
   * Another entry that must not have changed either; undefined without a guard, or where the guard is about
   * the same entry.
   */
  readonly guard: { readonly name: string; readonly current: number } | undefined;
}

/** The request to etcd: `/v3/kv/txn`. */
export function transactionOf(
  keys: Keys,
  write: Write,
  fence: { readonly key: string; readonly revision: number },
  registry: { readonly mod: number },
): unknown {
  const key = keys.entry(write.name);
  const { guard } = write;
  const guarding = guard && keys.entry(guard.name);
  return {
    compare: [
      unchanged(key, write.current),
      unchanged(fence.key, fence.revision),
      unchanged(keys.registry, registry.mod),
      ...(guarding === undefined ? [] : [unchanged(guarding, guard?.current ?? 0)]),
    ],
    success: operationsOf(keys, key, write),
    failure: [
      { request_range: { key } },
      { request_range: { key: fence.key, keys_only: true } },
      { request_range: { key: keys.registry } },
      ...(guarding === undefined ? [] : [{ request_range: { key: guarding } }]),
    ],
  };
}

function unchanged(key: string, revision: number): object {
  return { key, target: 'MOD', result: 'EQUAL', mod_revision: revision };
}

function operationsOf(keys: Keys, key: string, { name, id, next, expired, isMarked }: Write): object[] {
  if (next !== undefined) {
    const { entry, lease } = next;
    const value = encodeEntry({ ...entry, name }, id);
    return [{ request_put: { key, value, ...(lease === undefined ? {} : { lease }) } }];
  }
  const deletion = { request_delete_range: { key } };
  if (!isMarked) return [deletion];
  // The order matters: this key is reported first.
  return [{ request_put: { key: keys.deleted, value: encodeDeletion(id, expired) } }, deletion];
}

/** Why a transaction changed nothing: the state that it found instead. */
export function foundBy({ responses }: TxnResponse): {
  readonly kv: KeyValue | undefined;
  readonly fence: number;
  readonly registry: KeyValue | undefined;
  readonly guard: KeyValue | undefined;
} {
  const [kv, fence, registry, guard] = (responses ?? []).map(({ response_range: range }) => range?.kvs?.[0]);
  return { kv, fence: modRevisionOf(fence), registry, guard };
}
