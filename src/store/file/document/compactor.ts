import { rm } from 'node:fs/promises';
import { replaceFile } from '../../../config/atomic-write.ts';
import type { JsonObject } from '../../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import type { Committer } from '../journal/committer.ts';
import { writeBackup } from '../backup/backup-text.ts';
import { readCurrent, writeCurrent } from '../journal/current-journal.ts';
import { asBrokerError, isDiskFailure } from '../disk-errors.ts';
import { documentText, type RegistryIdentity } from './document.ts';
import type { History } from '../../memory/history.ts';
import { createJournal, type Journal } from '../journal/journal.ts';
import type { JournalFile } from '../journal/journal-files.ts';
import { paced } from './paced.ts';
import type { EntryIndex } from '../../memory/entry-index.ts';

/** Rewrites the file from the index, and replaces and removes journals. */
export interface Compactor {
  /** Takes over the files on the disk when writing begins; to be called once, before anything else. */
  takeOver(files: RegistryFiles): void;
  /**
   * Writes the file, and switches to a new journal when the present one is long. Calls run one after another.
   */
  rewrite(): Promise<void>;
  /** As `rewrite`, if the file is not up to date already. */
  rewriteIfChanged(): Promise<void>;
  /** Whether `rewriteForRoom` would gain something now, and the file is not being written already. */
  wouldFreeRoom(): boolean;
  /**
   * As `rewriteIfChanged`, while a batch waits for room and no other append is in progress. False, with
   * nothing done, where `wouldFreeRoom` is.
   */
  rewriteForRoom(): Promise<boolean>;
  /** Writes the file without changing the journals. */
  rewriteAlone(): Promise<void>;
  /** Writes a backup: the file with the present state, to the path that `target` returns for its revision. */
  backUp(target: (revision: number) => string): Promise<WrittenBackup>;
  /** Whether the journals are so long that the file should be rewritten. */
  isDue(): boolean;
  /** Whether the file holds the whole registry. */
  isCurrent(): boolean;
  /**
   * The bytes that a rewriting needs on the disk until it has removed the old files, and the journal after
   * it.
   */
  neededBytes(): number;
  /** Removes journals that neither the file nor the history needs. */
  retire(): Promise<void>;
  /** Removes journals that only the history needs; false where there are none. */
  giveUpHistory(): Promise<boolean>;
  /** Runs `task` while neither the file is written nor the journal changed. */
  exclusively<T>(task: () => Promise<T>): Promise<T>;
  /** Resolves when nothing is written or waits for its turn. It never rejects. */
  settled(): Promise<void>;
}

/** Edits of the file by users while a broker runs on it. */
export interface FileEdits {
  /**
   * Takes over the options that a user has written to the file since its last writing, so that a rewriting
   * keeps them. It rejects when they cannot be read: the file must not be overwritten then.
   */
  keep(): Promise<void>;
  /** @throws BrokerError when a user has written to the file since `keep`. */
  check(): void;
  /** Notes that the file has just been written. */
  wrote(): void;
}

export interface CompactorOptions {
  readonly file: string;
  readonly identity: RegistryIdentity;
  readonly index: EntryIndex;
  readonly history: History;
  readonly committer: Committer;
  /** The options of the file beside the registry. */
  readonly options: () => JsonObject;
  readonly journal: () => Journal;
  readonly setJournal: (journal: Journal) => void;
  /** Journals that are longer than this, and than the file, cause a rewriting. */
  readonly journalBytes: number;
  readonly edits?: FileEdits | undefined;
  /** Whether a caller waits for the file; otherwise requests come first. */
  readonly isHurried: () => boolean;
  readonly onStep: (step: string) => void;
}

export interface RegistryFiles {
  /** Journals that are no longer written, the oldest first. */
  readonly retired: readonly JournalFile[];
  /** The content of the file. */
  readonly written: Written;
}

/** A backup that was written. */
export interface WrittenBackup {
  readonly path: string;
  /** The registry's revision of this state. */
  readonly revision: number;
  readonly bytes: number;
}

export interface Written {
  readonly revision: number;
  /** The JSON of the options. */
  readonly options: string;
  readonly bytes: number;
}

// Journals are kept for the history. A shorter one is used further instead of being replaced, so that there
// are few.
const LONG_ENOUGH_BYTES = 1024 * 1024;
const MAX_RETIRED = 32;

export function createCompactor(setup: CompactorOptions): Compactor {
  const { file, identity, index, history, committer, onStep } = setup;
  const rotateBytes = Math.min(LONG_ENOUGH_BYTES, setup.journalBytes);
  let written: Written = { revision: 0, options: '', bytes: 0 };
  let retired: JournalFile[] = [];
  let last: Promise<unknown> = Promise.resolve();
  let running = 0;
  let isForRoom = false;
  const isHurried = (): boolean => isForRoom || setup.isHurried();

  /** One at a time: the index allows one snapshot at a time, and the files are switched one at a time. */
  async function inTurn<T>(task: () => Promise<T>): Promise<T> {
    running++;
    const run = last.then(task);
    last = Promise.allSettled([run]);
    try {
      return await run;
    } finally {
      running--;
    }
  }

  async function rewrite(rotation: () => Promise<void>): Promise<void> {
    try {
      await setup.edits?.keep();
      await rotation();
      written = await writeFile();
    } catch (error) {
      if (isDiskFailure(error)) committer.stop(`writing ${file} failed: ${messageOf(error)}`);
      throw asBrokerError(error, `Cannot write ${file}`);
    }
    try {
      onStep('retire');
      await retire();
    } catch (error) {
      throw asBrokerError(error, `Cannot remove a journal that ${file} makes needless`);
    }
  }

  const rotateBetween = (): Promise<void> => committer.between(rotate);

  async function rotate(): Promise<void> {
    const old = setup.journal();
    if (!old.used || old.size < rotateBytes) return;
    checkOwn();
    const base = index.revision;
    setup.setJournal(await next(base));
    retired.push({ path: old.path, base: old.base, end: base, bytes: old.size });
    await old.close();
  }

  /**
   * Refuses to overwrite the files of another broker. It can start on them if the lock's files were removed.
   */
  function checkOwn(): void {
    const { path, link } = setup.journal();
    if (link() !== 'replaced') return;
    throw new BrokerError(
      'unavailable',
      `Cannot write ${file}: another broker is using it, and has replaced ${path}`,
    );
  }

  /** Until the new journal is recorded as the current one, the old one stays in use. */
  async function next(base: number): Promise<Journal> {
    const created = await createJournal(file, identity.id, base, onStep);
    let mayBeNamed = false;
    try {
      await writeCurrent(file, identity.id, base, (step) => {
        mayBeNamed ||= step === 'current-rename';
        onStep(step);
      });
      return created;
    } catch (error) {
      // Before its renaming the record is as it was. Without a descriptor, a look at it would fail as well.
      const named = mayBeNamed ? await currentBase() : undefined;
      if (named === base && !isDiskFailure(error)) return created;
      await Promise.allSettled([created.close()]);
      if (named instanceof Error) throw named;
      // After a failed sync the disk may have either record, so both journals must exist.
      if (named !== base) await rm(created.path, { force: true });
      throw error;
    }
  }

  /** A failure may come after the name was changed. Where that is unknown, neither journal is reliable. */
  async function currentBase(): Promise<number | Error | undefined> {
    try {
      return (await readCurrent(file))?.base;
    } catch (error) {
      committer.stop(`changing journals failed: ${messageOf(error)}`);
      return error instanceof Error ? error : new Error(messageOf(error));
    }
  }

  async function writeFile(): Promise<Written> {
    const options = setup.options();
    const snapshot = index.snapshot();
    try {
      const text = documentText(options, identity, snapshot);
      const pieces = paced(text, isHurried);
      const bytes = await replaceFile(file, pieces, {
        onStep(step) {
          if (step === 'rename') {
            setup.edits?.check();
            checkOwn();
          }
          onStep(`file-${step}`);
        },
      });
      setup.edits?.wrote();
      return { revision: snapshot.revision, options: JSON.stringify(options), bytes };
    } finally {
      snapshot.end();
    }
  }

  async function backUp(target: (revision: number) => string): Promise<WrittenBackup> {
    const { revision } = index;
    const place = target(revision);
    const snapshot = index.snapshot();
    try {
      const content = { options: setup.options(), identity, snapshot, isHurried };
      const bytes = await writeBackup(place, file, content, (step) => onStep(`backup-${step}`));
      return { path: place, revision, bytes };
    } catch (error) {
      throw asBrokerError(error, `Cannot write ${place}`);
    } finally {
      snapshot.end();
    }
  }

  async function retire(): Promise<void> {
    for (let [oldest] = retired; oldest !== undefined; [oldest] = retired) {
      const needed = oldest.end > written.revision || oldest.end > history.floor;
      if (needed && (retired.length <= MAX_RETIRED || oldest.end > written.revision)) return;
      await remove(oldest);
      onStep('retired');
    }
  }

  async function remove(journal: JournalFile): Promise<void> {
    await rm(journal.path, { force: true });
    // By identity and not by index: a full disk and a rewriting may remove journals at the same time.
    retired = retired.filter((kept) => kept !== journal);
  }

  /** The bytes of the journals that the file does not replace. */
  function journalBytes(): number {
    const { size, base } = setup.journal();
    const own = index.revision > written.revision || base > written.revision ? size : 0;
    return retired.reduce((sum, { end, bytes }) => (end > written.revision ? sum + bytes : sum), own);
  }

  function isCurrent(): boolean {
    return written.revision === index.revision && written.options === JSON.stringify(setup.options());
  }

  function wouldFreeRoom(): boolean {
    return running === 0 && written.revision !== index.revision && journalBytes() >= rotateBytes;
  }

  return {
    takeOver(files) {
      ({ written } = files);
      retired = [...files.retired];
    },
    rewrite: () => inTurn(() => rewrite(rotateBetween)),
    rewriteIfChanged: () =>
      inTurn(async () => {
        if (!isCurrent()) await rewrite(rotateBetween);
      }),
    wouldFreeRoom,
    async rewriteForRoom() {
      if (!wouldFreeRoom()) return false;
      isForRoom = true;
      try {
        await inTurn(() => rewrite(rotate));
      } finally {
        isForRoom = false;
      }
      return true;
    },
    rewriteAlone: () => inTurn(() => rewrite(() => Promise.resolve())),
    backUp: (target) => inTurn(() => backUp(target)),
    isDue: () => journalBytes() > Math.max(setup.journalBytes, written.bytes),
    isCurrent,
    neededBytes: () => index.bytes + LONG_ENOUGH_BYTES,
    retire,
    async giveUpHistory() {
      const needless = retired.filter(({ end }) => end <= written.revision);
      if (needless.length === 0) return false;
      history.forget(needless.at(-1)?.end ?? 0);
      for (const journal of needless) await remove(journal);
      return true;
    },
    exclusively: inTurn,
    async settled() {
      await last;
    },
  };
}
