import { MAX_PAGE } from '../../protocol/registry/services-params.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Guard, Store } from '../../store/store.ts';
import { type EntryChange, trackChange, withChanges } from './changes.ts';
import { remove } from './mutations.ts';

/** One batch of a deletion by prefix. */
export interface DeletedBatch {
  /** The number of removed entries. */
  readonly deleted: number;
  /** The removed entries. */
  readonly changes: readonly EntryChange[];
  /** The value of `after` for the next batch; absent after the last one. */
  readonly next?: string;
  /** The registry's revision of this state. */
  readonly revision: number;
}

export interface DeleteOptions {
  /** Only names after this one. */
  readonly after?: string | undefined;
  /** The condition of each removal. */
  readonly guard?: Guard | undefined;
}

/**
 * Removes the entries whose names start with `prefix`, those after the name `after`. It takes at most a page
 * of them, in one commit of the store. Each entry is removed by itself. An entry that is written meanwhile is
 * removed in its new state, or is written again after its removal.
 * @throws BrokerError of the store. Some entries may be removed then, but none in part; {@link changesOf} the
 * error says which.
 */
export async function deletePrefix(
  store: Store,
  prefix: string,
  { after, guard }: DeleteOptions = {},
): Promise<DeletedBatch> {
  const page = await store.list({ prefix, limit: MAX_PAGE, ...(after === undefined ? {} : { after }) });
  const results = await Promise.allSettled(page.entries.map(({ name }) => removeOne(store, name, guard)));
  const changes: EntryChange[] = [];
  let failure: PromiseRejectedResult | undefined;
  let { revision } = page;
  for (const result of results) {
    if (result.status === 'rejected') {
      failure ??= result;
      continue;
    }
    if (result.value.isChange) changes.push(result.value);
    revision = Math.max(revision, result.value.revision);
  }
  if (failure) throw changes.length === 0 ? failure.reason : afterChanges(failure.reason, changes);
  return {
    deleted: changes.length,
    changes,
    revision,
    ...(page.next === undefined ? {} : { next: page.next }),
  };
}

/** Makes an error of this call alone: many calls may have failed with one error of the store. */
function afterChanges(reason: unknown, changes: readonly EntryChange[]): unknown {
  if (!(reason instanceof BrokerError)) return reason;
  const { code, message, retryAfter } = reason;
  return withChanges(new BrokerError(code, message, { cause: reason, retryAfter }), changes);
}

async function removeOne(
  store: Store,
  name: string,
  guard: Guard | undefined,
): Promise<EntryChange & { readonly revision: number }> {
  const removal = trackChange(remove(name));
  const { revision } = await store.mutate(name, removal.mutation, guard);
  return { name, revision, isChange: removal.isChange };
}
