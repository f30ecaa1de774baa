import { checkData, type EntryData, mergeData, sameData } from '../../protocol/formats/data.ts';
import { type Entry, entryNotFound } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { type MemberPath, withoutMembers } from '../../protocol/registry/member-paths.ts';
import type { Guard, Mutation, NewEntry } from '../../store/store.ts';

/** The content of a write: who, when, what, and for how long. */
export interface Write {
  readonly name: string;
  readonly data: EntryData;
  readonly clientAddress: string;
  /** Unix time in whole seconds. */
  readonly now: number;
  readonly ttlMs?: number | undefined;
}

/** The members that an update removes. */
export interface Removal {
  readonly unset: readonly MemberPath[];
  /** Whether the update does nothing else. */
  readonly isAll: boolean;
}

/**
 * Creates the entry; refused when the name exists, unless `ifSame` is set and the data is equal. An equal
 * entry is renewed; it is stored anew where another lifetime is given than it has.
 */
export function register(write: Write, ifSame: boolean): Mutation {
  return (current) => {
    if (!current) return { action: 'put', entry: entryOf(write, write.data) };
    if (!ifSame || !sameData(current.data, write.data))
      throw new BrokerError('already_exists', `Entry '${write.name}' already exists`);
    if (write.ttlMs !== undefined && write.ttlMs !== current.ttlMs)
      return { action: 'put', entry: entryOf(write, current.data) };
    return { action: current.ttlMs === undefined ? 'keep' : 'renew' };
  };
}

/** Stores the data, whether or not the entry exists. */
export function replace(write: Write, ifRevision?: number): Mutation {
  return (current) => {
    checkRevision(write.name, current, ifRevision);
    return { action: 'put', entry: entryOf(write, write.data) };
  };
}

/**
 * Merges the data into the entry, or creates it. A string replaces a string. Beside an object it is kept
 * under `_str`, as in the original, so that neither is lost. A lifetime stays unless a new one is given.
 * Members are removed before the data is merged in. An update that only removes members needs an entry.
 */
export function update(
  write: Write,
  ifRevision?: number,
  { unset, isAll }: Removal = { unset: [], isAll: false },
): Mutation {
  return (current) => {
    checkRevision(write.name, current, ifRevision);
    if (!current && isAll) throw entryNotFound(write.name);
    if (!current) return { action: 'put', entry: entryOf(write, write.data) };

    const base = unset.length === 0 ? current.data : withoutMembers(current.data, unset);
    const data = checkData(mergeData(base, write.data));
    return { action: 'put', entry: entryOf({ ...write, ttlMs: write.ttlMs ?? current.ttlMs }, data) };
  };
}

/** Removes the entry; succeeds when it does not exist, unless a revision is given. */
export function remove(name: string, ifRevision?: number): Mutation {
  return (current) => {
    checkRevision(name, current, ifRevision);
    return { action: 'delete' };
  };
}

/**
 * Starts the entry's lifetime again; refused when it does not exist, or has another revision than the given
 * one.
 */
export function renew(name: string, ifRevision?: number): Mutation {
  return (current) => {
    if (!current) throw entryNotFound(name);
    checkRevision(name, current, ifRevision);
    return { action: 'renew' };
  };
}

/**
 * Makes a write conditional on a lock: the lock's entry must still be the one that its holder has registered.
 * @throws BrokerError `invalid_request` for half of a condition, and for a write to the lock's own entry,
 * which would end it.
 */
export function whileLocked(
  written: string,
  lock: string | undefined,
  revision: number | undefined,
): Guard | undefined {
  if (lock === undefined && revision === undefined) return undefined;
  if (lock === undefined || revision === undefined)
    throw new BrokerError('invalid_request', "Give 'lock' and 'lock_revision', or neither");
  if (lock === written)
    throw new BrokerError(
      'invalid_request',
      `Entry '${written}' is the lock itself, which a write would end: write another entry`,
    );
  return {
    name: lock,
    check(current) {
      if (current?.revision === revision) return;
      const present = current ? `is at revision ${current.revision}` : 'does not exist';
      throw new BrokerError(
        'revision_conflict',
        `Lock '${lock}' is no longer held at revision ${revision}: its entry ${present}`,
      );
    },
  };
}

function entryOf(write: Write, data: EntryData): NewEntry {
  const { name, clientAddress: lastWriteIp, now: lastWriteTs, ttlMs } = write;
  return { name, data, lastWriteTs, lastWriteIp, ...(ttlMs === undefined ? {} : { ttlMs }) };
}

function checkRevision(name: string, current: Entry | undefined, wanted: number | undefined): void {
  if (wanted === undefined || wanted === current?.revision) return;
  // 0 asks for an entry that does not exist yet.
  if (wanted === 0 && !current) return;
  const problem = current
    ? `is at revision ${current.revision}, not at revision ${wanted}`
    : `does not exist; expected revision ${wanted}`;
  throw new BrokerError('revision_conflict', `Entry '${name}' ${problem}`);
}
