import { randomBytes } from 'node:crypto';
import { open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { ifPresent } from '../../../config/atomic-write.ts';
import { messageOf } from '../../../protocol/errors.ts';
import { isFull } from '../disk-errors.ts';
import { freeBytes } from '../disk-space.ts';

/**
 * Room on the disk for one rewriting of the file and one journal. Where little is free, a file holds it in
 * reserve, and is removed when the room is needed. A registry that has filled its disk can then be made
 * smaller.
 */
export interface DiskReserve {
  /**
   * Makes sure, as far as the disk allows, that `bytes` can be written later. It never throws: a failure is
   * logged.
   */
  reserve(bytes: number): Promise<void>;
  /**
   * As `reserve`, after a use of the room. What was held before is held again, whatever remains beside it:
   * otherwise the journal, or another program, takes the room of the next rewriting.
   */
  retake(bytes: number): Promise<void>;
  /**
   * Removes the reserve, for a use of its room.
   * @throws the system's error.
   */
  giveUp(): Promise<void>;
  /** Whether `bytes` can be written now, with the room of the reserve. */
  has(bytes: number): Promise<boolean>;
}

/** If this many times the needed room is free, no reserve is kept. */
const PLENTY = 4;
const PLENTY_BYTES = 64 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

function reservePath(file: string): string {
  return `${file}.reserve`;
}

export function createDiskReserve(file: string, log: (level: 'warn', message: string) => void): DiskReserve {
  const place = reservePath(file);
  const dir = path.dirname(file);
  let held = 0;
  /** Whether a reserve was given up for a use of its room, and not replaced since. */
  let isLent = false;
  let last: Promise<unknown> = Promise.resolve();

  async function fill(bytes: number): Promise<void> {
    // Random bytes cannot be compressed: some file systems store NULs without using room.
    const piece = randomBytes(PIECE_BYTES);
    const handle = await open(place, 'wx', 0o600);
    try {
      for (let left = bytes; left > 0; left -= PIECE_BYTES) {
        await handle.writeFile(left < PIECE_BYTES ? piece.subarray(0, left) : piece);
      }
    } finally {
      await handle.close();
    }
    held = bytes;
  }

  async function remove(): Promise<void> {
    await rm(place, { force: true });
    held = 0;
  }

  async function giveUp(): Promise<void> {
    isLent ||= held > 0;
    await remove();
  }

  /** `least` is the room, free or held, without which no reserve is made. */
  async function reserve(bytes: number, least: number): Promise<void> {
    try {
      const free = await freeBytes(dir);
      if (held >= bytes && free < 2 * PLENTY * bytes + PLENTY_BYTES) return;
      const room = free + held;
      isLent = false;
      await remove();
      if (room >= PLENTY * bytes + PLENTY_BYTES || room < least) return;
      await fill(bytes);
    } catch (error) {
      await Promise.allSettled([remove()]);
      if (!isFull(error)) log('warn', `Cannot keep room in reserve at ${place}: ${messageOf(error)}`);
    }
  }

  /** One task after another, since the reserve is one file. */
  function inTurn(task: () => Promise<void>): Promise<void> {
    const run = last.then(task);
    last = Promise.allSettled([run]);
    return run;
  }

  return {
    reserve: (bytes) => inTurn(() => reserve(bytes, 2 * bytes)),
    retake: (bytes) => inTurn(() => reserve(bytes, isLent ? bytes : 2 * bytes)),
    giveUp: () => inTurn(giveUp),
    async has(bytes) {
      const reserved = (await ifPresent(stat(place)))?.size ?? 0;
      return reserved + (await freeBytes(dir)) >= bytes;
    },
  };
}
