import type { Change } from '../../protocol/registry/entry.ts';

/** The latest changes, without gaps: one for every revision after `floor`. */
export interface History {
  /** The history holds every change after this revision. */
  readonly floor: number;
  push(change: Change, bytes: number): void;
  /** The changes after `revision`, which must not be before `floor`. */
  since(revision: number): Change[];
  /** Forgets the changes up to and including `revision`, and keeps those after it. */
  forget(revision: number): void;
  /** Forgets every change: the next one is that after `revision`. */
  clear(revision: number): void;
}

export interface HistoryLimits {
  readonly changes: number;
  /** The most bytes of their journal records. */
  readonly bytes: number;
}

export function createHistory(limits: HistoryLimits): History {
  let changes: (Change | undefined)[] = [];
  let sizes: number[] = [];
  let head = 0;
  let bytes = 0;
  let floor = 0;

  function dropOldest(): void {
    floor++;
    bytes -= sizes[head] ?? 0;
    changes[head] = undefined;
    head++;
    if (head < 1024 || head * 2 < changes.length) return;
    changes = changes.slice(head);
    sizes = sizes.slice(head);
    head = 0;
  }

  return {
    get floor(): number {
      return floor;
    },
    push(change, size) {
      changes.push(change);
      sizes.push(size);
      bytes += size;
      while (changes.length - head > limits.changes || bytes > limits.bytes) dropOldest();
    },
    since(revision) {
      return changes.slice(head + revision - floor) as Change[];
    },
    forget(revision) {
      while (floor < revision && head < changes.length) dropOldest();
    },
    clear(revision) {
      changes = [];
      sizes = [];
      head = 0;
      bytes = 0;
      floor = revision;
    },
  };
}
