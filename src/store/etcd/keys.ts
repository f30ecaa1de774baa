/**
 * The keys of the registry in etcd, below its prefix:
 *
 * - `e/NAME`: an entry;
 * - `m/registry`: the registry's identity ({@link file://./identity.ts});
 * - `m/deleted`: written with each deletion, so that a watch can tell it from the end of a lease;
 * - `m/sync`: written so that a watch has something to report;
 * - `m/common/NAME`: the texts that the brokers of the registry share;
 * - `m/broker/ID`: the description of one broker, while it lives ({@link file://./gateway/members.ts});
 * - `m/fence/ID`: the fence of one broker: see {@link file://./writes/fence.ts}.
 */
export interface Keys {
  /**
   * The range of the whole registry: the first key, and the first one after it; base64, like all keys here.
   */
  readonly all: Range;
  readonly entries: Range;
  /** The same without the entries. */
  readonly meta: Range;
  readonly registry: string;
  readonly deleted: string;
  readonly sync: string;
  entry(name: string): string;
  common(name: string): string;
  fence(id: string): string;
  readonly members: Range;
  member(id: string): string;
  /** The name of an entry's key; undefined for another key. */
  nameOf(key: string): string | undefined;
}

/** The keys from `key` up to, but without, `range_end`; base64. */
export interface Range {
  readonly key: string;
  readonly range_end: string;
}

export function createKeys(prefix: string): Keys {
  const meta = (name: string): string => encode(`${prefix}m/${name}`);
  const entries = `${prefix}e/`;
  return {
    all: rangeOf(prefix),
    entries: rangeOf(entries),
    meta: rangeOf(`${prefix}m/`),
    registry: meta('registry'),
    deleted: meta('deleted'),
    sync: meta('sync'),
    entry: (name) => encode(entries + name),
    common: (name) => meta(`common/${name}`),
    fence: (id) => meta(`fence/${id}`),
    members: rangeOf(`${prefix}m/broker/`),
    member: (id) => meta(`broker/${id}`),
    nameOf(key) {
      const text = decode(key);
      return text.startsWith(entries) ? text.slice(entries.length) : undefined;
    },
  };
}

/** Every key that starts with `prefix`. */
function rangeOf(prefix: string): Range {
  const end = Buffer.from(prefix, 'utf8');
  // No prefix ends with the highest byte, which UTF-8 does not have.
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return { key: encode(prefix), range_end: end.toString('base64') };
}

/** A text in base64 of its UTF-8. */
export function encode(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

/** The text of {@link encode}. */
export function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}
