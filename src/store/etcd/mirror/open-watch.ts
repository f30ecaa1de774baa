import type { WatchItem, WatchOptions } from '../../store.ts';
import { covers } from '../../memory/watchers.ts';
import type { Mirror } from './mirror.ts';

const finished: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Opens a watch of the mirror, which must hold everything up to `after`, unless that is in the future. */
export function openWatch(mirror: Mirror, options: WatchOptions): AsyncIterableIterator<WatchItem> {
  return mirror.watches.open(options, backlogOf(mirror, options));
}

function backlogOf({ index, history, reached }: Mirror, options: WatchOptions): WatchItem[] {
  const { after } = options;
  if (after === undefined) return [];
  // A revision of etcd that did not change the registry is not a future one.
  if (after > Math.max(index.revision, reached) || after < history.floor) {
    return [{ type: 'reset', revision: index.revision }];
  }
  return history.since(after).filter((change) => covers(options, change.name));
}

/** A watch that is still being opened. */
export function pendingWatch(
  opening: Promise<AsyncIterableIterator<WatchItem>>,
): AsyncIterableIterator<WatchItem> {
  let isOver = false;
  // The reader gets the failure.
  opening.catch(() => undefined);
  return {
    async next() {
      if (isOver) return finished;
      try {
        const watch = await opening;
        return await watch.next();
      } catch (error) {
        isOver = true;
        throw error;
      }
    },
    async return() {
      isOver = true;
      const watch = await opening.catch(() => undefined);
      await watch?.return?.();
      return finished;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
