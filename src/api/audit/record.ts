import type { Json } from '../../protocol/formats/data.ts';
import { toJson } from '../../protocol/formats/json.ts';

/** The subject of a line of the audit trail. */
export type AuditEvent =
  /** A broker began or ended to write the trail, or took over its options again. */
  | 'start'
  | 'stop'
  | 'reload'
  /** A call that changes the registry: a line for each entry that it changed. */
  | 'write'
  /** A call of a module that is not built in: a line before it runs (`outcome`: `begun`) and one at its end. */
  | 'execution'
  /** A call that was refused before it reached its module. */
  | 'refusal'
  /** The number of refusals of one source that have no line of their own. */
  | 'refusals'
  /** The number of lines that are missing before this one. */
  | 'lost';

/** One line of the audit trail. It holds no access key, and holds data only if that is configured. */
export interface AuditRecord {
  /** The time of the line: ISO 8601, UTC. */
  readonly time: string;
  readonly event: AuditEvent;
  /** IP address of the caller; absent where the server does not say. */
  readonly source?: string;
  /** The presented key: the start of its SHA-256, or a mark of this run. Absent without one. */
  readonly key?: string;
  /** The id of the request, as in its answer and in the log. */
  readonly request?: string;
  readonly module?: string;
  readonly method?: string;
  /** The method of the extension that made the call in the name of its own caller. */
  readonly via?: string;
  /** The number of an execution since the start, the same on both of its lines. */
  readonly call?: number;
  readonly entry?: string;
  /** The prefix of a deletion by prefix. */
  readonly prefix?: string;
  /** The entry's revision after the write. */
  readonly revision?: number;
  /** `ok`, `unchanged`, `begun`, `gone` (the caller did not wait for the end), or the code of an error. */
  readonly outcome?: string;
  /** HTTP status of a call that was refused, failed, or executed. */
  readonly status?: number;
  /** The data of the call, where data is configured. */
  readonly data?: Json;
  /** The length of its JSON in characters, instead of data that is too long for a line. */
  readonly data_length?: number;
  /** In `refusals`: how many, and how many of them by outcome. In `lost`: how many lines. */
  readonly count?: number;
  readonly outcomes?: Readonly<Record<string, number>>;
  readonly version?: string;
  readonly instance?: string;
}

/** The longest JSON of data in a line, in characters; for longer data the line has the length. */
const MAX_DATA_LENGTH = 16_384;
/** The longest text that a caller chooses, in UTF-16 units: an entry's name may have 512 bytes. */
const MAX_TEXT_LENGTH = 512;

/** A text that a caller chose, cut to the length that a line may have; undefined for any other value. */
export function boundedText(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  return value.length <= MAX_TEXT_LENGTH ? value : `${value.slice(0, MAX_TEXT_LENGTH)}…`;
}

/** The data of a call, or its length where a line has no room for it. */
export function boundedData(data: unknown): Pick<AuditRecord, 'data' | 'data_length'> {
  if (data === undefined) return {};
  const { length } = JSON.stringify(data);
  return length <= MAX_DATA_LENGTH ? { data: data as Json } : { data_length: length };
}

/** A record as one line of JSON, with its number first. Control characters, DEL and C1 too, are escaped. */
export function lineOf(seq: number, record: AuditRecord): string {
  return `${toJson({ seq, ...record })}\n`;
}
