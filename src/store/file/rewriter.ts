import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { replaceFile } from '../../config/atomic-write.ts';
import type { JsonObject } from '../../protocol/data.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Committer } from './committer.ts';
import { writeBackup } from './backup-text.ts';
import { asBrokerError, isDiskFailure } from './disk-errors.ts';
import { documentText, type RegistryIdentity } from './document.ts';
import type { History } from './history.ts';
import { createJournal, type Journal } from './journal.ts';
import type { JournalFile } from './journal-files.ts';
import type { Table } from './table.ts';

/** Writes the file anew from the table, and replaces and retires journals. */
export interface Rewriter {
  /** Writes the file, and goes over to a new journal when the present one is long. Calls run one after another. */
  rewrite(): Promise<void>;
  /** As `rewrite`, where the file is not up to date already. */
  rewriteIfChanged(): Promise<void>;
  /** Writes a backup of the file as it would be now, to the path that `target` gives for its revision. */
  backUp(target: (revision: number) => string): Promise<WrittenBackup>;
  /** Whether the journal is so long that the file should be rewritten. */
  isDue(): boolean;
  /** Removes journals that neither the file nor the history needs. */
  retire(): Promise<void>;
}

/** Edits of the file by others while a broker runs on it. */
export interface FileEdits {
  /**
   * Takes over the options that somebody has put into the file since it was last written, so that writing it anew keeps
   * them. Rejects when they cannot be read: the file must not be written over then.
   */
  keep(): Promise<void>;
  /** Throws when somebody has written to the file since `keep`. */
  check(): void;
  /** The file has just been written. */
  wrote(): void;
}

export interface RewriterOptions {
  readonly file: string;
  readonly identity: RegistryIdentity;
  readonly table: Table;
  readonly history: History;
  readonly committer: Committer;
  /** The options that stand in the file beside the registry. */
  readonly options: () => JsonObject;
  readonly journal: () => Journal;
  readonly setJournal: (journal: Journal) => void;
  /** Journals no longer written, the oldest first; changed in place. */
  readonly retired: JournalFile[];
  /** What the file holds when this begins. */
  readonly written: Written;
  /** A journal longer than this, and than the file, is due. */
  readonly journalBytes: number;
  readonly edits?: FileEdits | undefined;
  readonly onStep: (step: string) => void;
}

/** A backup that stands. */
export interface WrittenBackup {
  readonly path: string;
  /** The registry's revision of which it is the state. */
  readonly revision: number;
  readonly bytes: number;
}

export interface Written {
  readonly revision: number;
  /** JSON of the options. */
  readonly options: string;
  readonly bytes: number;
}

// Journals are kept for the history; short ones are written on instead of being replaced, so that they stay few.
const LONG_ENOUGH_BYTES = 1024 * 1024;
const MAX_RETIRED = 32;

export function createRewriter(setup: RewriterOptions): Rewriter {
  const { file, identity, table, history, committer, retired, onStep } = setup;
  const rotateBytes = Math.min(LONG_ENOUGH_BYTES, setup.journalBytes);
  let written = setup.written;
  let last: Promise<unknown> = Promise.resolve();

  /** One at a time: the table takes one snapshot at a time, and the files are switched one at a time. */
  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = last.then(task);
    last = run.catch(() => undefined);
    return run;
  }

  async function rewrite(): Promise<void> {
    try {
      await setup.edits?.keep();
      await rotate();
      written = await writeFile();
    } catch (error) {
      if (isDiskFailure(error)) committer.stop(`writing ${file} failed: ${messageOf(error)}`);
      throw asBrokerError(error, `Cannot write ${file}`);
    }
    onStep('retire');
    await retire();
  }

  async function rotate(): Promise<void> {
    await committer.between(async () => {
      const old = setup.journal();
      if (!old.used || old.size < rotateBytes) return;
      const end = table.revision;
      setup.setJournal(await next(end));
      retired.push({ path: old.path, base: old.base, end });
      await old.close();
    });
  }

  async function next(base: number): Promise<Journal> {
    try {
      return await createJournal(file, identity.id, base, onStep);
    } catch (error) {
      // Once the new journal stands under its name, going on with the old one would make them overlap.
      const { path } = setup.journal();
      const created = existsSync(path.replace(/\d{16}$/, String(base).padStart(16, '0')));
      if (created) committer.stop(`creating a journal failed: ${messageOf(error)}`);
      throw error;
    }
  }

  async function writeFile(): Promise<Written> {
    const options = setup.options();
    const snapshot = table.snapshot();
    try {
      const text = documentText(options, identity, snapshot);
      const bytes = await replaceFile(file, text, {
        onStep(step) {
          if (step === 'rename') setup.edits?.check();
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
    const snapshot = table.snapshot();
    const { revision } = snapshot;
    const place = target(revision);
    try {
      const content = { options: setup.options(), identity, snapshot };
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
      await rm(oldest.path, { force: true });
      onStep('retired');
      retired.shift();
    }
  }

  return {
    rewrite: () => inTurn(rewrite),
    rewriteIfChanged: () =>
      inTurn(async () => {
        const current =
          written.revision === table.revision && written.options === JSON.stringify(setup.options());
        if (!current) await rewrite();
      }),
    backUp: (target) => inTurn(() => backUp(target)),
    isDue: () => setup.journal().size > Math.max(setup.journalBytes, written.bytes),
    retire,
  };
}
