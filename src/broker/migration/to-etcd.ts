import { readFile } from 'node:fs/promises';
import { ifPresent, replaceFile } from '../../config/atomic-write.ts';
import { silentLogger } from '../../protocol/logger.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { moveIn } from '../../store/etcd/moving/move-in.ts';
import { removeCurrent } from '../../store/file/journal/current-journal.ts';
import { optionsOf } from '../../store/file/document/document.ts';
import { listJournals } from '../../store/file/journal/journal-files.ts';
import { backUpReplaced, keepFiles } from '../../store/file/backup/replaced-files.ts';
import { recover, removeJournals } from '../../store/file/recovery.ts';
import { createEntryIndex } from '../../store/memory/entry-index.ts';
import { SHARED_CERTIFICATE, sharedCertificateText, isNamed, ownCertificateFiles } from '../certificate.ts';
import { closeToOthers } from '../opening/file-permissions.ts';
import type { Migrated, Migration } from './migration.ts';

/** Moves the registry from the file into etcd. The file keeps only the options. */
export async function toEtcd(migration: Migration): Promise<Omit<Migrated, 'place'>> {
  const { file, configuration, cluster, by, beforeMark, onProgress, signal, backupDir } = migration;
  const { document } = configuration;
  const index = createEntryIndex();
  const { identity } = await recover({ file, document, index });
  const options = optionsOf(document);
  const common = await certificateOf(migration);
  let kept: Pick<Migrated, 'keptIn' | 'backup'> = {};
  await moveIn({
    cluster,
    content: { id: identity.id, index, common },
    by,
    beforeMark,
    onProgress,
    signal,
    async onFilled() {
      kept = await switchToEtcd(migration, { identity, options, index });
    },
  });
  await closeToOthers(file, document?.options, silentLogger);
  const notes = migration.isPrivate || isNamed(migration.options.api) ? [] : [OWN_CERTIFICATE];
  return { outcome: 'moved', entries: index.size, revision: index.revision, ...kept, notes };

  async function switchToEtcd(
    { options: next }: Migration,
    image: Parameters<typeof backUpReplaced>[0],
  ): Promise<Pick<Migrated, 'keptIn' | 'backup'>> {
    const journals = (await listJournals(file)).map((journal) => journal.path);
    const keptIn = await keepFiles(file, journals, backupDir);
    const backup = await backUpReplaced(image, file, backupDir);
    configuration.edits.check();
    const written: JsonObject = { ...next, _store: { ...next._store, driver: 'etcd' } };
    await replaceFile(file, [`${JSON.stringify(written, undefined, 2)}\n`]);
    // They have been kept together with their file.
    await removeJournals(journals);
    await removeCurrent(file);
    return { backup, ...(keptIn !== undefined && { keptIn }) };
  }
}

const OWN_CERTIFICATE =
  'Each broker has a certificate of its own, since an endpoint of etcd is reached without TLS: clients know this broker by the one that it had, and no other.';

/** The broker's own certificate, which all brokers of the registry get, since clients know it. */
async function certificateOf({ file, options, isPrivate }: Migration): Promise<Record<string, string>> {
  if (!isPrivate || isNamed(options.api)) return {};
  const { certFile, keyFile } = ownCertificateFiles(file);
  const cert = await ifPresent(readFile(certFile, 'utf8'));
  // A broker that has never run has none.
  if (cert === undefined) return {};
  return { [SHARED_CERTIFICATE]: sharedCertificateText({ cert, key: await readFile(keyFile, 'utf8') }) };
}
