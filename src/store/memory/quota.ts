import { BrokerError } from '../../protocol/errors.ts';
import type { EntryIndex } from './entry-index.ts';

/** Holds the registry to its limit, writes that are not durable yet included. */
export interface Quota {
  /** What the entries count now, and what they may: see `entry-size.ts`. */
  usage(): { readonly bytes: number; readonly maxBytes: number };
  /**
   * Admits a write that makes an entry count `size`, and gives what that adds. `before`: what it counts with all writes that came
   * before this one, durable or not; 0 where there is none. A write that makes nothing larger is always admitted.
   * @throws BrokerError `storage_full`
   */
  admit(name: string, size: number, before: number): number;
  /** Counts what an admitted write adds, until it is applied or refused. Gives `written` back. */
  track<T>(added: number, written: Promise<T>): Promise<T>;
  /** A change has been applied to the index, of which it changed the bytes by this. */
  applied(added: number): void;
}

export function createQuota(index: Pick<EntryIndex, 'bytes'>, maxBytes: number): Quota {
  /** Writes under way, and what they add. */
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
