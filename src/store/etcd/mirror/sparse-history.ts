import type { Change } from '../../../protocol/registry/entry.ts';
import type { HistoryLimits } from '../../memory/history.ts';

/** The latest changes of the registry. Their revisions have gaps, since etcd counts other writes too. */
export interface SparseHistory {
  /** It holds every change after this revision. */
  readonly floor: number;
  push(change: Change, bytes: number): void;
  /** The changes after `revision`, which must not be before `floor`. */
  since(revision: number): Change[];
  /** Forgets every change: the next one is after `revision`. */
  clear(revision: number): void;
}

export function createSparseHistory(limits: HistoryLimits): SparseHistory {
  let changes: { readonly change: Change; readonly bytes: number }[] = [];
  let head = 0;
  let bytes = 0;
  let floor = 0;

  function dropOldest(): void {
    const oldest = changes[head];
    floor = oldest?.change.revision ?? floor;
    bytes -= oldest?.bytes ?? 0;
    head++;
    if (head < 1024 || head * 2 < changes.length) return;
    changes = changes.slice(head);
    head = 0;
  }

  /** The index of the first change after `revision`. */
  function placeAfter(revision: number): number {
    let [low, high] = [head, changes.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((changes[middle]?.change.revision ?? 0) > revision) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  return {
    get floor(): number {
      return floor;
    },
    push(change, size) {
      changes.push({ change, bytes: size });
      bytes += size;
      while (changes.length - head > limits.changes || bytes > limits.bytes) dropOldest();
    },
    since: (revision) => changes.slice(placeAfter(revision)).map(({ change }) => change),
    clear(revision) {
      changes = [];
      head = 0;
      bytes = 0;
      floor = revision;
    },
  };
}
