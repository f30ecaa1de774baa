import { DEFAULT_PREFIX } from '../../protocol/addresses/endpoint.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { migrationProblem, type Identity } from '../../store/etcd/identity.ts';
import { findRegistry, isOf } from '../../store/etcd/moving/registry-key.ts';
import { openFilled } from '../../store/etcd/moving/move-in.ts';
import { isBeingMovedBy, markMoved, reopen } from '../../store/etcd/moving/move-out.ts';
import { readDocument } from '../../store/file/document/document.ts';
import { listJournals } from '../../store/file/journal/journal-files.ts';
import type { LiveConfiguration } from '../opening/live-configuration.ts';
import type { Migrated, Migration } from './migration.ts';

type Finished = Omit<Migrated, 'place'>;

/**
 * The configuration names etcd already: completes an earlier run, or undoes an incomplete migration out of
 * etcd.
 */
export async function finishInEtcd(migration: Migration): Promise<Finished> {
  const { cluster, by, file, configuration } = migration;
  await checkNothingLeft(file, configuration);
  const found = await findRegistry(cluster);
  if (found === undefined) throw lost(migration);
  const { closed } = found;
  if (closed === undefined) return { outcome: 'already', notes: [] };
  if (closed.state === 'filled' && isOf(closed, by)) {
    const { revision = 0 } = found;
    await openFilled(cluster, found, revision);
    return { outcome: 'completed', revision, notes: [] };
  }
  if (isBeingMovedBy(found, by)) {
    await reopen(cluster, found);
    return { outcome: 'reopened', notes: [] };
  }
  throw new BrokerError('unavailable', `Cannot use the registry in etcd: ${migrationProblem(closed)}`);
}

/** The refusal where etcd was made anew, or is another one than before. */
function lost({ file, options, backupDir }: Migration): BrokerError {
  return new BrokerError(
    'not_found',
    `There is no registry below '${prefixIn(options)}' in etcd, although '_store.driver' of ${file} is 'etcd'. If one was moved there before, the files from before the move are in ${backupDir}; a broker that is started now makes an empty registry`,
  );
}

/** An earlier run did not end its move into etcd. Only its mark can go on with it. */
function unfinishedCopy({ file, options }: Migration): string {
  const prefix = prefixIn(options);
  return `An earlier run left an unfinished copy of it in etcd, below '${prefix}'. Finish that move with --from file --to etcd; or give it up: remove ${file}.migration and the copy ('etcdctl del --prefix ${prefix}e/' and 'etcdctl del --prefix ${prefix}m/').`;
}

function prefixIn({ _store: { prefix = DEFAULT_PREFIX } }: Migration['options']): string {
  return prefix;
}

/** A driver that was changed by hand moves no entries. */
async function checkNothingLeft(file: string, { document }: LiveConfiguration): Promise<void> {
  const { entries, origin } = readDocument(document, file);
  // Entries that are not in the file yet are in its journals. An interrupted migration may have left those
  // too, but without `_registry`.
  const isLeft = entries.size > 0 || (origin !== 'new' && (await listJournals(file)).length > 0);
  if (!isLeft) return;
  throw new BrokerError(
    'invalid_config',
    `'_store.driver' of ${file} is 'etcd' already, and yet the file holds a registry that was not moved: set it to 'file', and run this again; or take '_registry' and the entries out of the file, if they are not wanted`,
  );
}

/**
 * The configuration names the file already: marks the registry in etcd as moved where an earlier run did not.
 */
export async function finishInFile(migration: Migration): Promise<Finished> {
  const { cluster, by, file, configuration } = migration;
  let found: Identity | undefined;
  try {
    found = await findRegistry(cluster);
  } catch (error) {
    // The registry is here, whatever etcd holds.
    const note = `Whether the registry in etcd is marked as moved is not known: ${messageOf(error)}.`;
    return { outcome: 'already', notes: [note] };
  }
  const { closed } = found ?? {};
  if (closed && isOf(closed, by) && (closed.state === 'filling' || closed.state === 'filled'))
    return { outcome: 'already', notes: [unfinishedCopy(migration)] };
  if (found === undefined || !isBeingMovedBy(found, by)) return { outcome: 'already', notes: [] };
  const { id } = readDocument(configuration.document, file);
  if (id !== found.id) {
    throw new BrokerError(
      'invalid_config',
      `${file} does not hold the registry that is on its way to it from etcd ('${found.id}'): set '_store.driver' to 'etcd' in it, and run this again`,
    );
  }
  await markMoved(cluster, found, by);
  return { outcome: 'completed', notes: [] };
}
