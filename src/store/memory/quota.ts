import type { JsonObject } from '../../protocol/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { sizeOf } from './size.ts';
import type { Table } from './table.ts';

/** Holds the registry to its limit, writes that are not durable yet included. */
export interface Quota {
  /** What the entries count now, and what they may: see `size.ts`. */
  usage(): { readonly bytes: number; readonly maxBytes: number };
  /**
   * Admits a write: `before` is the state that it replaces, `pending` whether that one is not durable yet. Gives what the
   * write adds. A write that makes nothing larger is always admitted.
   * @throws BrokerError `storage_full`
   */
  admit(name: string, data: JsonObject, before: JsonObject | undefined, pending: boolean): number;
  /** What removing an entry adds: a number below 0. */
  removal(name: string, before: JsonObject, pending: boolean): number;
  /** Counts what an admitted write adds, until it is applied or refused. Gives `written` back. */
  track<T>(added: number, written: Promise<T>): Promise<T>;
  /** A change has been applied to the table, of which it changed the bytes by this. */
  applied(added: number): void;
  /** What data that has been admitted counts with its name. */
  bytesOf(name: string, data: JsonObject): number;
}

export function createQuota(table: Table, maxBytes: number): Quota {
  /** Writes under way, and what they add. */
  let writes = 0;
  let underWay = 0;
  /** So that the text of data is made once for its admission and its durable state. */
  const known = new WeakMap<JsonObject, number>();

  function bytesOf(name: string, data: JsonObject): number {
    const bytes = known.get(data);
    // The same data may be stored under many names.
    if (bytes === undefined) return sizeOf({ name, data });
    return bytes + nameBytes(name);
  }

  function before(name: string, data: JsonObject, pending: boolean): number {
    return pending ? bytesOf(name, data) : table.bytesOf(name);
  }

  function end(added: number): void {
    writes = Math.max(0, writes - 1);
    underWay = writes === 0 ? 0 : underWay - added;
  }

  return {
    usage: () => ({ bytes: table.bytes, maxBytes }),
    bytesOf,
    admit(name, data, present, pending) {
      const size = sizeOf({ name, data });
      known.set(data, size - nameBytes(name));
      const added = size - (present === undefined ? 0 : before(name, present, pending));
      const total = table.bytes + underWay;
      if (added <= 0 || total + added <= maxBytes) return added;
      throw new BrokerError(
        'storage_full',
        `Cannot store the entry '${name}': the registry counts ${total} bytes, this would add ${added}, and '_store.max_bytes' ` +
          `allows ${maxBytes}; delete entries, or raise the option and restart the broker`,
      );
    },
    removal: (name, present, pending) => -before(name, present, pending),
    track(added, written) {
      writes++;
      underWay += added;
      written.catch(() => end(added));
      return written;
    },
    applied: end,
  };
}

function nameBytes(name: string): number {
  return Buffer.byteLength(JSON.stringify(name));
}
