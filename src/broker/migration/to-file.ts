import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ifPresent, replaceFile } from '../../config/atomic-write.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import type { Entry } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { type MovingOut, moveOut, reopenAfter } from '../../store/etcd/moving/move-out.ts';
import { unfinished } from '../../store/etcd/moving/move-in.ts';
import { removeCurrent } from '../../store/file/journal/current-journal.ts';
import { listJournals } from '../../store/file/journal/journal-files.ts';
import { highestRevisionIn, keepFiles } from '../../store/file/backup/replaced-files.ts';
import { stageRegistry } from '../../store/file/staged-registry.ts';
import { removeJournals } from '../../store/file/recovery.ts';
import { sizeOf } from '../../store/memory/entry-size.ts';
import { createEntryIndex, type EntryIndex } from '../../store/memory/entry-index.ts';
import { SHARED_CERTIFICATE, isNamed, ownCertificateFiles, readSharedCertificate } from '../certificate.ts';
import { holdsEntries } from '../opening/etcd-registry.ts';
import type { Migrated, Migration } from './migration.ts';

/** Moves the registry from etcd into the file. In etcd it stays unchanged, but closed to all brokers. */
export async function toFile(migration: Migration): Promise<Omit<Migrated, 'place'>> {
  const { file, configuration, cluster, by, beforeMark, backupDir } = migration;
  if (holdsEntries(configuration)) {
    throw new BrokerError(
      'already_exists',
      `${file} holds entries of its own, which are not those in etcd; take them out of it, or migrate with --config and a copy of the file without them`,
    );
  }
  const journals = (await listJournals(file)).map((journal) => journal.path);
  const moving = await moveOut(cluster, by, beforeMark);
  const {
    keptIn,
    index: placed,
    settle,
  } = await placeFrom(moving).catch((error: unknown) => reopenAfter(moving, error));
  await settle();
  // The registry is in the file from here on. `since` identifies old journals, whether they are removed now
  // or at the next start.
  await removeJournals(journals);
  await removeCurrent(file);
  await moving.finish().catch((error: unknown) => {
    throw unfinished(`The registry is in ${file} now, and etcd does not know it yet`, error);
  });
  const { size: entries, revision } = placed;
  return { outcome: 'moved', entries, revision, ...(keptIn !== undefined && { keptIn }), notes: [] };

  async function placeFrom(
    from: MovingOut,
  ): Promise<{ keptIn: string | undefined; index: EntryIndex; settle(): Promise<void> }> {
    const index = await readAll(migration, from, journals);
    const { options, onProgress, signal } = migration;
    const total = index.size;
    const { driver: _etcd, ...store } = options._store;
    const next: JsonObject = { ...options, _store: { driver: 'file', ...store } };
    const staged = await stageRegistry({
      file,
      options: next,
      identity: { id: from.id, since: index.revision },
      index,
      onProgress: (compared) => onProgress({ step: 'verified', done: compared, total }),
      signal,
    });
    try {
      const own = await certificateFiles(migration, from);
      const keep = await keepFiles(file, [...journals, ...own.replaced], backupDir);
      await own.write();
      signal.throwIfAborted();
      configuration.edits.check();
      await staged.place();
      return { keptIn: keep, index, settle: staged.settle };
    } catch (error) {
      await staged.drop();
      throw error;
    }
  }
}

/** The registry of etcd, at a revision that no journal here exceeds. */
async function readAll(
  { onProgress, signal }: Migration,
  from: MovingOut,
  journals: readonly string[],
): Promise<EntryIndex> {
  const entries = new Map<string, Entry>();
  const sizes: number[] = [];
  for await (const page of from.pages()) {
    signal.throwIfAborted();
    for (const entry of page) {
      entries.set(entry.name, entry);
      sizes.push(sizeOf(entry));
    }
    onProgress({ step: 'read', done: entries.size });
  }
  let { revision } = from;
  // They are from an earlier life of the file. Its revisions must not be used again.
  for (const journal of journals) revision = Math.max(revision, (await highestRevisionIn(journal)) + 1);
  const index = createEntryIndex();
  index.load(entries, sizes, revision);
  return index;
}

/** The files of the certificate that brokers had in etcd, since clients know it. */
async function certificateFiles(
  { file, options, isPrivate }: Migration,
  from: MovingOut,
): Promise<{ readonly replaced: readonly string[]; write(): Promise<void> }> {
  const nothing = { replaced: [], write: () => Promise.resolve() };
  if (!isPrivate || isNamed(options.api)) return nothing;
  const text = await from.common(SHARED_CERTIFICATE);
  if (text === undefined) return nothing;
  const { cert, key } = readSharedCertificate(text);
  const { certFile, keyFile } = ownCertificateFiles(file);
  const [hereCert, hereKey] = await Promise.all(
    [certFile, keyFile].map((at) => ifPresent(readFile(at, 'utf8'))),
  );
  if (hereCert === cert && hereKey === key) return nothing;
  return {
    replaced: [
      ...(hereCert === undefined ? [] : [certFile]),
      ...(hereKey === undefined ? [] : [keyFile]),
    ].map((at) => path.resolve(at)),
    // The order is that of a first start: a key without its certificate does no harm.
    async write() {
      await replaceFile(keyFile, [key], { mode: 0o600, ownerOf: file });
      await replaceFile(certFile, [cert], { mode: 0o644, ownerOf: file });
    },
  };
}
