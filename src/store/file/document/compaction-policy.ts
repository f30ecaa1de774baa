import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import type { Committer } from '../journal/committer.ts';
import type { Journal } from '../journal/journal.ts';
import type { PreparedFiles } from '../prepare-files.ts';
import type { Compactor } from './compactor.ts';
import type { DiskReserve } from './disk-reserve.ts';

/** Decides when the file is rewritten, and which files are removed on a full disk. */
export interface CompactionPolicy {
  /** Whether the disk has been made ready for writes. */
  readonly isReady: boolean;
  /** Why the last attempt to rewrite the file failed; undefined when it succeeded. */
  readonly problem: string | undefined;
  /** Notes that writes are possible. If the file is behind the journals, it is rewritten meanwhile. */
  begin(opened: PreparedFiles): Promise<void>;
  /** Notes a commit: it may be time to rewrite the file. */
  committed(): void;
  /** As `makeRoom` of the committer. */
  makeRoom(): Promise<boolean>;
  /** Rewrites the file if something changed. It never rejects: a failure is logged, and tried again. */
  rewriteQuietly(): Promise<void>;
  /** Rewrites the file if something changed. It throws as {@link Compactor.rewrite} does. */
  rewriteNow(): Promise<void>;
}

export interface CompactionPolicyOptions {
  readonly compactor: Compactor;
  readonly room: DiskReserve;
  readonly committer: Pick<Committer, 'trouble'>;
  readonly journal: () => Journal;
  readonly setJournal: (journal: Journal) => void;
  /** Makes the disk ready for writes, where a start found no room for it. */
  readonly prepare: () => Promise<PreparedFiles>;
  readonly isClosing: () => boolean;
  readonly log: (level: 'warn', message: string) => void;
  /** The pause between two attempts after the disk was full, in milliseconds. */
  readonly probeMs: number;
}

const RETRY_MS = 30_000;
/** After each growth of the journal by so many bytes, room is checked and reserved. */
const ROOM_EVERY_BYTES = 1024 * 1024;

export function createCompactionPolicy(options: CompactionPolicyOptions): CompactionPolicy {
  const { compactor, room, committer, log, probeMs } = options;
  let isReady = false;
  let problem: string | undefined;
  let rewriting = false;
  let notBefore = 0;
  let lacksRoom = false;
  let roomLookedAt = 0;

  /** Keeps room for the next rewriting, where the disk is nearly full. */
  function reserve(): Promise<void> {
    return room.reserve(compactor.neededBytes());
  }

  async function begin({ firstJournal, ...files }: PreparedFiles): Promise<void> {
    options.setJournal(firstJournal);
    compactor.takeOver(files);
    isReady = true;
    try {
      await compactor.retire();
    } catch (error) {
      log('warn', `Cannot remove a journal that is not needed: ${messageOf(error)}`);
    }
    await reserve();
    if (!compactor.isCurrent()) void rewriteQuietly();
  }

  /**
   * The journals of watches go first, then the reserve: with its room the file is rewritten and journals are
   * removed.
   */
  async function makeRoom(): Promise<boolean> {
    if (!isReady) {
      await begin(await options.prepare());
      return true;
    }
    if (await compactor.giveUpHistory()) return true;
    // A reserve that is given up in vain cannot always be taken back.
    if (rewriting || performance.now() < notBefore || !compactor.wouldFreeRoom()) return false;
    if (!(await room.has(compactor.neededBytes()))) return false;
    notBefore = performance.now() + probeMs;
    await room.giveUp();
    try {
      const isRewritten = await compactor.rewriteForRoom();
      if (isRewritten) notBefore = 0;
      return isRewritten;
    } finally {
      await room.retake(compactor.neededBytes());
    }
  }

  async function rewriteNow(): Promise<void> {
    rewriting = true;
    try {
      await room.giveUp();
      await rewriteWithHistory();
      notBefore = 0;
      lacksRoom = false;
      problem = undefined;
    } catch (error) {
      lacksRoom = isStorageFull(error);
      notBefore = performance.now() + (lacksRoom ? probeMs : RETRY_MS);
      throw error;
    } finally {
      rewriting = false;
      if (!options.isClosing()) await room.retake(compactor.neededBytes());
    }
  }

  /** Rewrites the file. Where there is no room, it removes the journals of watches. */
  async function rewriteWithHistory(): Promise<void> {
    try {
      await compactor.rewriteIfChanged();
    } catch (error) {
      if (!isStorageFull(error) || !(await compactor.giveUpHistory())) throw error;
      await compactor.rewriteIfChanged();
    }
  }

  async function rewriteQuietly(): Promise<void> {
    if (committer.trouble?.final || !isReady || rewriting) return;
    try {
      // An attempt that must fail would fill the remaining room, again and again.
      if (lacksRoom && !(await room.has(compactor.neededBytes()))) {
        notBefore = performance.now() + probeMs;
        return;
      }
      await rewriteNow();
    } catch (error) {
      problem = `${messageOf(error)}; the registry goes on in its journal`;
      log('warn', problem);
    }
  }

  return {
    get isReady(): boolean {
      return isReady;
    },
    get problem(): string | undefined {
      return problem;
    },
    begin,
    committed() {
      if (!rewriting && compactor.isDue() && performance.now() >= notBefore) void rewriteQuietly();
      // The rewriting has given up the room for its own use, and takes it back at its end.
      if (rewriting) return;
      const { size } = options.journal();
      if (Math.abs(size - roomLookedAt) < ROOM_EVERY_BYTES || committer.trouble) return;
      roomLookedAt = size;
      void reserve();
    },
    async makeRoom() {
      try {
        return await makeRoom();
      } catch (error) {
        if (!isStorageFull(error)) log('warn', `Cannot make room: ${messageOf(error)}`);
        return false;
      }
    },
    rewriteQuietly,
    rewriteNow,
  };
}

function isStorageFull(error: unknown): boolean {
  return error instanceof BrokerError && error.code === 'storage_full';
}
