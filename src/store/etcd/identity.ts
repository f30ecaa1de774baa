import { randomBytes } from 'node:crypto';
import { isObject, type JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { shellWord } from '../../protocol/formats/shell-word.ts';
import type { Gateway } from './gateway/gateway.ts';
import { decode, encode, type Keys } from './keys.ts';
import { type KeyValue, modRevisionOf, type RangeResponse } from './gateway/messages.ts';
import { getOrPut } from './get-or-put.ts';
import type { Deadline } from './promises.ts';

/** The content of the key `m/registry`. Every write of an entry succeeds only if that key has not changed. */
export interface Identity {
  /** Identifies this registry. */
  readonly id: string;
  /**
   * The registry's revision minus etcd's. A registry that was moved into etcd continues from the revision
   * that it had, and etcd's counts the whole cluster.
   */
  readonly offset: number;
  /** etcd's revision of this write. */
  readonly mod: number;
  /** The revision in the value: for a registry that was moved, its revision at that time. */
  readonly revision?: number;
  /** Why nobody may use the registry now; undefined while it is open. */
  readonly closed?: MigrationMark;
}

/** A migration's note on the registry that it moves. */
export interface MigrationMark {
  /**
   * - `filling`: entries are being copied in.
   * - `filled`: all are in, and the configuration is being switched.
   * - `moving`: entries are being copied out.
   * - `moved`: the registry is in the file now.
   */
  readonly state: 'filling' | 'filled' | 'moving' | 'moved';
  /** The host and the configuration file of the migration. */
  readonly host: string;
  readonly file: string;
  /** ISO 8601, UTC. */
  readonly since: string;
  /** A random mark, also beside that file meanwhile: another machine may have the same host name and path. */
  readonly mover?: string;
}

/**
 * The known layouts of the keys below the prefix: 2 has `revision`, `at` and `closed`, and entries with their
 * own `revision`.
 */
const LAYOUTS: ReadonlySet<unknown> = new Set([1, 2]);
const states: ReadonlySet<unknown> = new Set(['filling', 'filled', 'moving', 'moved']);

/**
 * Reads the registry's identity, which all its brokers share; the first of them makes it.
 * @throws BrokerError `invalid_config` for the identity of a later version, and for other data.
 */
export async function readIdentity(gateway: Gateway, keys: Keys, deadline: Deadline): Promise<Identity> {
  await getOrPut(gateway, keys.registry, makeIdentity, deadline);
  const identity = await findIdentity(gateway, keys, deadline);
  if (identity === undefined) throw new BrokerError('unavailable', 'The registry in etcd was just removed');
  return identity;
}

/** The same; undefined where there is no registry. */
export async function findIdentity(
  gateway: Gateway,
  keys: Keys,
  deadline: Deadline,
): Promise<Identity | undefined> {
  const found = await gateway.ask<RangeResponse>('/v3/kv/range', { key: keys.registry }, deadline);
  const [kv] = found.kvs ?? [];
  return kv && identityOf(kv);
}

function makeIdentity(): Promise<string> {
  return Promise.resolve(JSON.stringify({ id: randomBytes(8).toString('hex'), layout: 1 }));
}

/**
 * The value of `m/registry`. Without `at`, the registry is at `revision` at the very write of this value. So
 * the revision that etcd will use need not be known before.
 */
export function encodeIdentity(identity: {
  readonly id: string;
  readonly revision: number;
  readonly at?: number;
  readonly closed?: MigrationMark;
}): string {
  const { id, ...more } = identity;
  return encode(JSON.stringify({ id, layout: 2, ...more }));
}

/** @throws BrokerError `invalid_config` for an unreadable value. */
export function identityOf(kv: KeyValue): Identity {
  const { id, layout, revision, at, closed } = objectIn(kv);
  if (typeof id !== 'string') {
    throw new BrokerError(
      'invalid_config',
      "The prefix in etcd holds data that is no registry of a broker; set '_store.prefix' to an unused one, such as '/bpbroker/'",
    );
  }
  if (!LAYOUTS.has(layout)) {
    throw new BrokerError(
      'invalid_config',
      `The registry in etcd has layout ${JSON.stringify(layout)}; this version reads layouts 1 and 2: install the version that wrote it`,
    );
  }
  const mod = modRevisionOf(kv);
  const mark = isObject(closed) && { closed: markIn(closed) };
  if (typeof revision !== 'number') return { id, offset: 0, mod, ...mark };
  return { id, offset: revision - (typeof at === 'number' ? at : mod), mod, revision, ...mark };
}

function objectIn({ value = '' }: KeyValue): JsonObject {
  try {
    const parsed: unknown = JSON.parse(decode(value));
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

function markIn({ state, host, file, since, mover }: JsonObject): MigrationMark {
  return {
    ...(typeof mover === 'string' && { mover }),
    // An unknown state of a later version must keep the registry closed.
    state: states.has(state) ? (state as MigrationMark['state']) : 'moving',
    host: text(host),
    file: text(file),
    since: text(since),
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '?';
}

/**
 * Why a registry may not be used, for every caller. It names no host, file or command, since only the
 * operator may see those.
 */
export function migrationNotice({ state }: MigrationMark): string {
  if (state === 'moved')
    return 'the registry was moved from etcd to a file; use the broker of that file, which the log names';
  if (state === 'moving') return 'the registry is on its way from etcd to a file, which the log names';
  return 'the registry is on its way from a file into etcd; the log names that file';
}

/** The same for the operator, with the remedy. */
export function migrationProblem({ state, host, file, since, mover = '?' }: MigrationMark): string {
  const command = (from: string, to: string): string =>
    `bpbroker migrate --from ${from} --to ${to} --config ${shellWord(file)}`;
  if (state === 'moved')
    return `the registry was moved from etcd to ${file} on ${host} at ${since}; use the broker there, or move it back there: ${command('file', 'etcd')}`;
  const again = `let that end, or run it again where ${file}.migration holds ${mover}`;
  if (state === 'moving')
    return `the registry has been on its way from etcd to ${file} on ${host} since ${since}; ${again}: ${command('etcd', 'file')}`;
  return `the registry has been on its way from ${file} on ${host} into etcd since ${since}; ${again}: ${command('file', 'etcd')}`;
}
