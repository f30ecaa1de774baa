/**
 * Where the registry is kept in etcd, below its prefix:
 *
 * - `e/NAME`: an entry;
 * - `m/registry`: what the registry is ({@link file://./identity.ts});
 * - `m/deleted`: written with each deletion, so that a watch can tell it from the end of a lease;
 * - `m/sync`: written so that a watch has something to report;
 * - `m/common/NAME`: what brokers over the registry have in common;
 * - `m/broker/ID`: of one broker: what it says of itself, for as long as it lives ({@link file://./members.ts});
 * - `m/fence/ID`: of one broker: see {@link file://./fence.ts}.
 */
export interface Keys {
  /** All of the registry: the first key, and the first one after it; base64, as all keys here. */
  readonly all: Range;
  readonly entries: Range;
  /** All of it but the entries. */
  readonly meta: Range;
  readonly registry: string;
  readonly deleted: string;
  readonly sync: string;
  entry(name: string): string;
  common(name: string): string;
  fence(id: string): string;
  readonly members: Range;
  member(id: string): string;
  /** The name of an entry's key; nothing for another key. */
  nameOf(key: string): string | undefined;
}

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

export function encode(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

export function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}
