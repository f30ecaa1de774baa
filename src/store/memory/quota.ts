import { BrokerError } from '../../protocol/errors.ts';
import type { EntryIndex } from './entry-index.ts';

/** Keeps the registry within its limit, including writes that are not durable yet. */
export interface Quota {
  /** The present size of the entries and its limit, in bytes: see `entry-size.ts`. */
  usage(): { readonly bytes: number; readonly maxBytes: number };
  /**
   * Admits a write that gives an entry the size `size`, and returns the added bytes. A write that makes no
   * entry larger is always admitted.
   * @param before the size of the entry after all earlier writes, durable or not; 0 where it does not exist.
   * @throws BrokerError `storage_full`
   */
  admit(name: string, size: number, before: number): number;
  /** Counts the added bytes of an admitted write, until it is applied or refused. Returns `written`. */
  track<T>(added: number, written: Promise<T>): Promise<T>;
  /** Notes that a change has been applied to the index, which has grown by so many bytes. */
  applied(added: number): void;
}

export function createQuota(index: Pick<EntryIndex, 'bytes'>, maxBytes: number): Quota {
  /** The number of writes in progress, and the bytes that they add. */
  let writes = 0;
  let underWay = 0;

  function end(added: number): void {
    writes = Math.max(0, writes - 1);
    underWay = writes === 0 ? 0 : underWay - added;
  }

  return {
    usage: () => ({ bytes: index.bytes, maxBytes }),
    admit(name, size, before) {
      const added = size - before;
      const total = index.bytes + underWay;
      if (added <= 0 || total + added <= maxBytes) return added;
      throw new BrokerError(
        'storage_full',
        `Cannot store the entry '${name}': the registry counts ${total} bytes, this would add ${added}, and '_store.max_bytes' ` +
          `allows ${maxBytes}; delete entries, or raise the option and restart the broker`,
      );
    },
    track(added, written) {
      writes++;
      underWay += added;
      written.catch(() => end(added));
      return written;
    },
    applied: end,
  };
}
