import { setImmediate, setTimeout } from 'node:timers';
import { type AuditRecord, lineOf } from '../../api/audit/record.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import { isFull } from '../../store/file/disk-errors.ts';
import { createTrailFile, type TrailFileOptions } from './trail-file.ts';

/** A trail in a file: one line for each record, numbered without a gap also across restarts and files that were put aside. */
export interface Trail {
  /** Settles once the line is with the system (true: a kill -9 does not lose it), or cannot be (false). */
  write(record: AuditRecord): Promise<boolean>;
  /** Why no line can be written now; nothing when all is well. */
  problem(): string | undefined;
  /** Lines that wait until the trail can be written again. */
  readonly waiting: number;
  /** Opens its file anew: it was put aside by another program. */
  reopen(): void;
  /** Writes what waits, as far as it can be, and lets go of the file. */
  close(): void;
}

export interface TrailOptions extends TrailFileOptions {
  /** Told of lines that were written. */
  onWritten(lines: number): void;
  /** Told of lines that are lost: there was no room for them while the trail could not be written. */
  onLost(lines: number): void;
  /** Between two attempts to write a trail that could not be written; default 1 s. */
  readonly retryMs?: number;
  /** What may wait meanwhile, in bytes; default 1 MiB. */
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

export function openTrail(options: TrailOptions): Trail {
  const { log, file: path, retryMs = 1000, waitingBytes = 1024 * 1024 } = options;
  const file = createTrailFile(options);
  /** Of this turn of the event loop, in the order in which they came. */
  let turn: Line[] = [];
  /** To be written, the first one from its byte `begun` on. */
  let waiting: Rendered[] = [];
  let size = 0;
  let begun = 0;
  let seq = 0;
  /** Whether it is known which number the trail had come to. */
  let isNumbered = false;
  /** Lost since the last line that said so. */
  let untold = 0;
  let problem: string | undefined;
  let timer: NodeJS.Timeout | undefined;

  function add(record: AuditRecord): void {
    const line = rendered(++seq, record);
    waiting.push(line);
    size += line.bytes.length;
  }

  /** While the trail cannot be written, only so much may wait; a number that is missing shows what is lost. */
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
    // What another file has of a line is not in this one.
    begun = 0;
    if (isNumbered) return;
    isNumbered = true;
    // Lines that wait since before it could be opened follow those that are there.
    seq += last;
    waiting = waiting.map((line) => rendered(line.seq + last, line.record));
    size = waiting.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  function writeAll(): void {
    while (waiting.length > 0) {
      const [first] = waiting;
      // Never in the midst of a line.
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
        if (written === 0) throw new Error('the system took no byte of a write');
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

  /** Whether the work could be done. What is in the way is said once, and its end too. */
  function attempt(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      const reason = reasonOf(error);
      // Its folder may be another by now, or the server that it is on. A full disk may have a part of a line, which goes on there.
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
 * Of the lines of one turn, those of changes in the order of their revisions: that in which answers get ready depends on the way that
 * each of them goes.
 */
function inOrder(lines: readonly Line[]): readonly Line[] {
  const isChange = ({ record: { event, outcome, method } }: Line): boolean =>
    event === 'write' && outcome === 'ok' && method !== 'Renew';
  const revisionOf = ({ record }: Line): number => record.revision ?? 0;
  const changes = lines.filter(isChange).toSorted((a, b) => revisionOf(a) - revisionOf(b));
  let at = 0;
  return lines.map((line) => (isChange(line) ? (changes[at++] ?? line) : line));
}
