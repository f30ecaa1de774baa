import { BrokerError } from '../../../protocol/errors.ts';
import type { Cluster } from '../gateway/cluster.ts';
import {
  migrationProblem,
  type MigrationMark,
  encodeIdentity,
  findIdentity,
  type Identity,
  identityOf,
} from '../identity.ts';
import { type RangeResponse, revisionOf, type TxnResponse } from '../gateway/messages.ts';

/** The migration of a registry: its host and its configuration file, for people, and the id beside that file. */
export type Mover = Required<Pick<MigrationMark, 'host' | 'file' | 'mover'>>;

/** Whether a mark is of this very migration. Host and path do not show that: a machine of the same image has both. */
export function isOf(mark: MigrationMark, by: Mover): boolean {
  return mark.mover === by.mover;
}

/** The longest time of one request of a migration, in milliseconds: longer than an election. */
export const REQUEST_MS = 10_000;
/** The same for the first request, which finds out whether etcd answers. */
const FIRST_MS = 5000;

/**
 * The identity of the registry below the prefix; undefined where there is none.
 * @throws BrokerError `invalid_config` for other data there.
 */
export function findRegistry({ gateway, keys }: Cluster): Promise<Identity | undefined> {
  return findIdentity(gateway, keys, performance.now() + FIRST_MS);
}

/**
 * Writes `m/registry` if it has not changed since `mod` (0: it does not exist), and returns its new content.
 * After that no write succeeds that compares the former content, however late it comes.
 * @throws BrokerError `unavailable` where another program has changed it.
 */
export async function compareAndSwap(
  { gateway, keys }: Cluster,
  mod: number,
  next: Parameters<typeof encodeIdentity>[0],
): Promise<Identity> {
  const key = keys.registry;
  const value = encodeIdentity(next);
  const txn = {
    compare: [unchangedSince(key, mod)],
    success: [{ request_put: { key, value } }],
    failure: [{ request_range: { key } }],
  };
  const answer = await gateway.ask<TxnResponse>('/v3/kv/txn', txn, performance.now() + REQUEST_MS);
  if (answer.succeeded) return identityOf({ key, value, mod_revision: String(revisionOf(answer.header)) });
  const kv = answer.responses?.[0]?.response_range?.kvs?.[0];
  // A repeated request finds the value that the first one has written.
  if (kv?.value === value) return identityOf(kv);
  throw new BrokerError(
    'unavailable',
    'Another program has changed the registry in etcd meanwhile; find out which one moves it, and run this again',
  );
}

export function unchangedSince(key: string, mod: number): object {
  return { key, target: 'MOD', result: 'EQUAL', mod_revision: mod };
}

/**
 * Reserves the prefix for a registry that is to be moved into it: nobody can use it until it is opened.
 * @param source the registry that is moved in.
 * @param beforeMark runs before etcd learns of the migration.
 * @throws BrokerError `already_exists` where it holds data that could be lost.
 */
export async function claimForFilling(
  cluster: Cluster,
  source: { readonly id: string; readonly revision: number },
  by: Mover,
  beforeMark?: () => Promise<void>,
): Promise<Identity> {
  const found = await findRegistry(cluster);
  if (found === undefined) await checkEmpty(cluster);
  else checkMayFill(found, source, by);
  await beforeMark?.();
  const closed: MigrationMark = { state: 'filling', ...by, since: new Date().toISOString() };
  return await compareAndSwap(cluster, found?.mod ?? 0, { ...source, closed });
}

async function checkEmpty({ gateway, keys }: Cluster): Promise<void> {
  const range = { ...keys.all, count_only: true };
  const { count = '0' } = await gateway.ask<RangeResponse>(
    '/v3/kv/range',
    range,
    performance.now() + REQUEST_MS,
  );
  if (Number(count) > 0)
    throw occupied(`holds ${count} keys that are no registry of a broker; nothing was changed`);
}

/**
 * A registry that was moved out of etcd is in its file, and one that was being moved in is still at its
 * source.
 */
function checkMayFill(
  { id, revision = 0, closed }: Identity,
  source: { readonly id: string; readonly revision: number },
  by: Mover,
): void {
  if (closed === undefined) {
    const whose = id === source.id ? 'this very registry, which brokers may be serving' : 'another registry';
    throw occupied(`holds ${whose} ('${id}'); nothing was changed`);
  }
  if (closed.state === 'moved') {
    if (id !== source.id) throw occupied(`holds another registry ('${id}'), which was moved away`);
    if (revision <= source.revision) return;
    throw occupied(
      `holds this registry at revision ${revision}, later than revision ${source.revision} of the file: ${migrationProblem(closed)}`,
    );
  }
  if (!isOf(closed, by) || closed.state === 'moving')
    throw occupied(`is in use: ${migrationProblem(closed)}`);
}

function occupied(what: string): BrokerError {
  return new BrokerError(
    'already_exists',
    `The prefix in etcd ${what}. Give one of its own with --prefix, such as '/bpbroker-2/'`,
  );
}
