import type { Json } from '../../protocol/formats/data.ts';
import { escapeControls } from '../../protocol/errors.ts';

/** What a line of the audit trail is about. */
export type AuditEvent =
  /** A broker began, or ended, to write the trail; its options were taken over anew. */
  | 'start'
  | 'stop'
  | 'reload'
  /** A call that would change the registry: a line for each entry that it changed. */
  | 'write'
  /** A call of a module that is not built in: a line before it runs (`outcome`: `begun`) and one at its end. */
  | 'execution'
  /** A call that was turned away before it reached its module. */
  | 'refusal'
  /** How many refusals of one source have no line of their own. */
  | 'refusals'
  /** How many lines before this one are missing. */
  | 'lost';

/** One line of the audit trail. It holds no access key, and no data unless that was asked for. */
export interface AuditRecord {
  /** When it was made: ISO 8601, UTC. */
  readonly time: string;
  readonly event: AuditEvent;
  /** IP address of the caller; absent where the server does not tell it. */
  readonly source?: string;
  /** The key that was presented: the start of its SHA-256, or a mark of this run. Absent without one. */
  readonly key?: string;
  /** The id of the request, which its answer and its lines of the log have too. */
  readonly request?: string;
  readonly module?: string;
  readonly method?: string;
  /** The method of an extension that made the call, in the name of its own caller. */
  readonly via?: string;
  /** Number of an execution since the start, the same on both of its lines. */
  readonly call?: number;
  readonly entry?: string;
  /** Of a deletion by prefix. */
  readonly prefix?: string;
  /** The entry's revision after the write. */
  readonly revision?: number;
  /** `ok`, `unchanged`, `begun`, `gone` (the caller did not wait for the end), or the code of an error. */
  readonly outcome?: string;
  /** HTTP status of a call that was refused, failed, or executed. */
  readonly status?: number;
  /** What the call brought, where data is asked for. */
  readonly data?: Json;
  /** Length of its JSON in characters, in place of data that is too long for a line. */
  readonly data_length?: number;
  /** Of `refusals`: how many, and how many of them by outcome. Of `lost`: how many lines. */
  readonly count?: number;
  readonly outcomes?: Readonly<Record<string, number>>;
  readonly version?: string;
  readonly instance?: string;
}

/** Longest JSON of data in a line, in characters; of longer data the line has the length. */
const MAX_DATA_LENGTH = 16_384;
/** Longest text of anything that a caller chooses, in UTF-16 units: an entry's name may have 512 bytes. */
const MAX_TEXT_LENGTH = 512;

/** What a caller chose, as long as a line may have it; nothing for what is no text. */
export function boundedText(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  return value.length <= MAX_TEXT_LENGTH ? value : `${value.slice(0, MAX_TEXT_LENGTH)}…`;
}

/** The data of a call, as far as a line has room for it. */
export function boundedData(data: unknown): Pick<AuditRecord, 'data' | 'data_length'> {
  if (data === undefined) return {};
  const { length } = JSON.stringify(data);
  return length <= MAX_DATA_LENGTH ? { data: data as Json } : { data_length: length };
}

/** A record as one line of JSON, with its number first. Control characters, DEL and C1 too, are escaped. */
export function lineOf(seq: number, record: AuditRecord): string {
  return `${escapeControls(JSON.stringify({ seq, ...record }))}\n`;
}
