import { setImmediate, setTimeout } from 'node:timers';
import { type AuditRecord, lineOf } from '../../api/audit/record.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import { isFull } from '../../store/file/disk-errors.ts';
import { createTrailFile, type TrailFileOptions } from './trail-file.ts';

/**
 * A trail in a file: one line for each record, numbered without a gap, also across restarts and rotated
 * files.
 */
export interface Trail {
  /**
   * Resolves with true once the system has the line, so that a kill -9 does not lose it, or with false where
   * it cannot be written.
   */
  write(record: AuditRecord): Promise<boolean>;
  /** Why no line can be written now; undefined when lines can be written. */
  problem(): string | undefined;
  /** The number of lines that wait until the trail can be written again. */
  readonly waiting: number;
  /** Opens its file again, after another program has rotated it. */
  reopen(): void;
  /** Writes the waiting lines, as far as possible, and closes the file. */
  close(): void;
}

export interface TrailOptions extends TrailFileOptions {
  /** Called with the number of written lines. */
  onWritten(lines: number): void;
  /**
   * Called with the number of lost lines: there was no room for them while the trail could not be written.
   */
  onLost(lines: number): void;
  /** The pause between two attempts at a trail that cannot be written, in milliseconds; default 1 s. */
  readonly retryMs?: number;
  /** The most bytes that wait meanwhile; default 1 MiB. */
  readonly waitingBytes?: number;
}

interface Line {
  readonly record: AuditRecord;
  settle(isWritten: boolean): void;
}

interface Rendered {
  readonly record: AuditRecord;
  readonly seq: number;
  readonly bytes: Buffer;
}

function rendered(seq: number, record: AuditRecord): Rendered {
  return { record, seq, bytes: Buffer.from(lineOf(seq, record)) };
}

/** Opens a trail. A file that cannot be opened is tried again later, while its lines wait. */
export function openTrail(options: TrailOptions): Trail {
  const { log, file: path, retryMs = 1000, waitingBytes = 1024 * 1024 } = options;
  const file = createTrailFile(options);
  /** The lines of this turn of the event loop, in the order of their arrival. */
  let turn: Line[] = [];
  /** The lines to write, the first one from its byte `begun` on. */
  let waiting: Rendered[] = [];
  let size = 0;
  let begun = 0;
  let seq = 0;
  /** Whether the last number of the trail is known. */
  let isNumbered = false;
  /** The lines lost since the last line that reported a loss. */
  let untold = 0;
  let problem: string | undefined;
  let timer: NodeJS.Timeout | undefined;

  function add(record: AuditRecord): void {
    const line = rendered(++seq, record);
    waiting.push(line);
    size += line.bytes.length;
  }

  /**
   * While the trail cannot be written, only a bounded number of bytes waits; a missing number shows each lost
   * line.
   */
  function take(record: AuditRecord): void {
    if (problem !== undefined && size > waitingBytes) {
      seq++;
      untold++;
      options.onLost(1);
      return;
    }
    tellLoss();
    add(record);
  }

  function tellLoss(): void {
    if (untold === 0) return;
    const count = untold;
    untold = 0;
    add({ time: new Date().toISOString(), event: 'lost', count });
  }

  function endTurn(): void {
    const lines = turn;
    if (lines.length === 0) return;
    turn = [];
    const isOpen = problem === undefined && attempt(open);
    for (const { record } of inOrder(lines)) take(record);
    const isWritten = isOpen && attempt(writeAll);
    for (const { settle } of lines) settle(isWritten);
  }

  function open(): void {
    const last = file.open();
    if (last === undefined) return;
    // The other file has the beginning of the line, and this one needs all of it.
    begun = 0;
    if (isNumbered) return;
    isNumbered = true;
    // Lines from before the file could be opened follow those that are in it.
    seq += last;
    waiting = waiting.map((line) => rendered(line.seq + last, line.record));
    size = waiting.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  function writeAll(): void {
    while (waiting.length > 0) {
      const [first] = waiting;
      // A rotation never splits a line.
      if (first && begun === 0) file.makeRoom(first.bytes.length, first.seq);
      const room = file.room();
      let count = 0;
      let bytes = 0;
      for (const line of waiting) {
        if (count > 0 && bytes + line.bytes.length > room) break;
        count++;
        bytes += line.bytes.length;
      }
      const text = Buffer.concat(waiting.slice(0, count).map((line) => line.bytes)).subarray(begun);
      for (let done = 0; done < text.length;) {
        const written = file.append(text.subarray(done));
        if (written === 0) throw new Error('the system wrote no byte');
        done += written;
        tookBytes(written);
      }
    }
  }

  function tookBytes(bytes: number): void {
    begun += bytes;
    let lines = 0;
    for (const line of waiting) {
      if (begun < line.bytes.length) break;
      begun -= line.bytes.length;
      size -= line.bytes.length;
      lines++;
    }
    waiting = waiting.slice(lines);
    if (lines > 0) options.onWritten(lines);
  }

  /** Whether the work succeeded. An error is logged once, and so is its end. */
  function attempt(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      const reason = reasonOf(error);
      // Its folder or file server may be another by now. On a full disk, the file may have a part of a line,
      // which continues there.
      if (!isFull(error)) file.forget();
      if (problem === undefined) log.error('the audit trail cannot be written', { file: path, reason });
      problem = reason;
      clearTimeout(timer);
      timer = setTimeout(retry, retryMs).unref();
      return false;
    }
  }

  function retry(): void {
    if (!attempt(rewrite)) return;
    problem = undefined;
    log.info('the audit trail is written again', { file: path });
  }

  function rewrite(): void {
    open();
    writeAll();
    tellLoss();
    writeAll();
  }

  return {
    write(record) {
      return new Promise((settle) => {
        if (turn.push({ record, settle }) === 1) setImmediate(endTurn);
      });
    },
    problem: () => problem,
    get waiting() {
      return waiting.length;
    },
    reopen() {
      file.forget();
      if (problem !== undefined) retry();
    },
    close() {
      clearTimeout(timer);
      endTurn();
      if (problem !== undefined) attempt(rewrite);
      clearTimeout(timer);
      if (waiting.length + untold > 0) options.onLost(waiting.length);
      attempt(() => file.close());
      clearTimeout(timer);
    },
  };
}

/**
 * Orders the lines of changes in one turn by their revisions. Answers become ready in another order, since
 * each takes its own path.
 */
function inOrder(lines: readonly Line[]): readonly Line[] {
  const isChange = ({ record: { event, outcome, method } }: Line): boolean =>
    event === 'write' && outcome === 'ok' && method !== 'Renew';
  const revisionOf = ({ record }: Line): number => record.revision ?? 0;
  const changes = lines.filter(isChange).toSorted((a, b) => revisionOf(a) - revisionOf(b));
  let at = 0;
  return lines.map((line) => (isChange(line) ? (changes[at++] ?? line) : line));
}
