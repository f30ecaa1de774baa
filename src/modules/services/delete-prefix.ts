import { MAX_PAGE } from '../../protocol/services.ts';
import type { Guard, Store } from '../../store/store.ts';

/** One batch of a deletion by prefix. */
export interface DeletedBatch {
  /** How many entries it has removed. */
  readonly deleted: number;
  /** Give it as `after` for the next batch; absent after the last one. */
  readonly next?: string;
  /** The registry's revision of which this is the state. */
  readonly revision: number;
}

export interface DeleteOptions {
  /** Only names after this one. */
  readonly after?: string | undefined;
  /** On which each removal depends. */
  readonly guard?: Guard | undefined;
}

/**
 * Removes the entries whose names start with `prefix`, those after the name `after`: a page of them at the most, all in one
 * commit of the store. Each goes by itself: one that is written meanwhile goes as it is then, or comes after it has gone.
 * @throws BrokerError what the store throws. Some of the batch may have gone then, and no entry in part.
 */
export async function deletePrefix(
  store: Store,
  prefix: string,
  { after, guard }: DeleteOptions = {},
): Promise<DeletedBatch> {
  const page = await store.list({ prefix, limit: MAX_PAGE, ...(after === undefined ? {} : { after }) });
  const results = await Promise.allSettled(page.entries.map(({ name }) => remove(store, name, guard)));
  let deleted = 0;
  let revision = page.revision;
  for (const result of results) {
    if (result.status === 'rejected') throw result.reason;
    if (result.value.existed) deleted++;
    revision = Math.max(revision, result.value.revision);
  }
  return { deleted, revision, ...(page.next === undefined ? {} : { next: page.next }) };
}

async function remove(
  store: Store,
  name: string,
  guard: Guard | undefined,
): Promise<{ existed: boolean; revision: number }> {
  // Of the run that counts, which is the last one.
  let existed = false;
  const { revision } = await store.mutate(
    name,
    (current) => {
      existed = current !== undefined;
      return { action: 'delete' };
    },
    guard,
  );
  return { existed, revision };
}
