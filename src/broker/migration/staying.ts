import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { closureProblem, type Identity } from '../../store/etcd/identity.ts';
import { present } from '../../store/etcd/moving/claim.ts';
import { openFilled } from '../../store/etcd/moving/move-in.ts';
import { isBeingMovedBy, markMoved, reopen } from '../../store/etcd/moving/move-out.ts';
import { readDocument } from '../../store/file/document/document.ts';
import type { Migrated, Migration } from './migration.ts';

type Stayed = Omit<Migrated, 'place'>;

/** The configuration leads to etcd already: ends what an earlier run has left, and gives up a way out of it that did not end. */
export async function stayInEtcd({ cluster, by }: Migration): Promise<Stayed> {
  const found = await present(cluster);
  const { closed } = found ?? {};
  if (found === undefined || closed === undefined) return { outcome: 'already', notes: [] };
  const isOurs = closed.host === by.host && closed.file === by.file;
  if (closed.state === 'filled' && isOurs) {
    const { revision = 0 } = found;
    await openFilled(cluster, found, revision);
    return { outcome: 'completed', revision, notes: [] };
  }
  if (isBeingMovedBy(found, by)) {
    await reopen(cluster, found);
    return { outcome: 'reopened', notes: [] };
  }
  throw new BrokerError('unavailable', `Cannot use the registry in etcd: ${closureProblem(closed)}`);
}

/** The configuration leads to the file already: marks the registry in etcd as moved where an earlier run did not come to it. */
export async function stayInFile(migration: Migration): Promise<Stayed> {
  const { cluster, by, file, settings } = migration;
  let found: Identity | undefined;
  try {
    found = await present(cluster);
  } catch (error) {
    // The registry is here, whatever etcd holds.
    const note = `Whether the registry in etcd is marked as moved is not known: ${messageOf(error)}.`;
    return { outcome: 'already', notes: [note] };
  }
  if (found === undefined || !isBeingMovedBy(found, by)) return { outcome: 'already', notes: [] };
  const { id } = readDocument(settings.document, file);
  if (id !== found.id) {
    throw new BrokerError(
      'invalid_config',
      `${file} does not hold the registry that is on its way to it from etcd ('${found.id}'): set '_store.driver' to 'etcd' in it, and run this again`,
    );
  }
  await markMoved(cluster, found, by);
  return { outcome: 'completed', notes: [] };
}
