import { type Json, type JsonObject, MAX_DATA_BYTES } from '../formats/data.ts';
import type { ErrorCode } from '../errors.ts';
import { parseJson } from '../formats/json.ts';

/**
 * The messages between a broker and the host process of an extension (docs/extensions.md, "Hosts"). They are
 * lines of JSON: to the host on its standard input, from the host on its standard output. A host begins each
 * line with a mark that the broker made for it. Any other line is output of the extension itself, and goes to
 * the log. Only `printed` is sent on standard error.
 */

/** From the broker to a host. One call runs at a time. */
export type ToHost =
  | ({ readonly type: 'call'; readonly id: number } & CallFrame)
  /** The caller has gone. */
  | { readonly type: 'abort'; readonly id: number }
  /** The result of an `ask`: the envelope of a built-in module, or the error. */
  | { readonly type: 'answer'; readonly id: number; readonly envelope: JsonObject }
  | { readonly type: 'answer'; readonly id: number; readonly error: FrameError };

export interface CallFrame {
  readonly method: string;
  readonly params: JsonObject;
  readonly clientAddress: string;
  /** The module's own configuration, without its access key. */
  readonly config: JsonObject;
}

export interface FrameError {
  readonly code: ErrorCode;
  readonly status: number;
  readonly message: string;
}

/** From a host to the broker. `id` is the id of the call; in an `ask`, one that the host chose. */
export type FromHost =
  /** The extension has been loaded. */
  | { readonly type: 'ready' }
  /** The extension cannot be loaded; the host ends. */
  | { readonly type: 'unloadable'; readonly message: string }
  /** The host ends: it takes no further call. */
  | { readonly type: 'ending' }
  /** The whole answer. */
  | ({ readonly type: 'reply'; readonly id: number } & Head & Part)
  /** An answer whose body comes in parts: `start`, any number of `part`, `end`. */
  | ({ readonly type: 'start'; readonly id: number } & Head)
  | ({ readonly type: 'part'; readonly id: number } & Part)
  | { readonly type: 'end'; readonly id: number }
  /** The call failed. `status` from 400 to 599; default 500. */
  | { readonly type: 'fail'; readonly id: number; readonly message: string; readonly status?: number }
  /** On standard error, after the call has ended: it has printed there what comes before this. */
  | { readonly type: 'printed'; readonly id: number }
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string }
  /** The call asks the broker for something: a method of `services`, or a lock. */
  | { readonly type: 'ask'; readonly id: number; readonly call: number; readonly question: Question }
  /** The answer to the `ask` of that id is no longer waited for. */
  | { readonly type: 'cancel'; readonly id: number };

export interface Head {
  readonly status: number;
  readonly contentType: string;
}

/** Part of a body: text, or bytes in base64. */
export type Part = { readonly text: string } | { readonly base64: string };

export type Question =
  | { readonly services: string; readonly params: JsonObject }
  | { readonly lock: string }
  | { readonly unlock: string };

/** The most bytes of a body in one frame; a longer body comes in parts. */
export const PART_BYTES: number = 64 * 1024;
/**
 * The longest line that a broker accepts from a host: the largest data of an entry with every unit of it
 * escaped.
 */
export const MAX_FRAME_BYTES: number = 8 * 1024 * 1024;

/** The content type of text that does not name one. */
export const TEXT_TYPE = 'text/plain; charset=utf-8';
export const BYTES_TYPE = 'application/octet-stream';
export const JSON_TYPE = 'application/json';

/**
 * The environment variables that tell a host which extension to run. They are removed before the extension is
 * loaded.
 */
export const hostVariables = {
  /** Real path of the extension's file. */
  file: 'BPBROKER_EXTENSION_FILE',
  /** The module's name. */
  name: 'BPBROKER_EXTENSION_NAME',
  /** The extension directory. */
  dir: 'BPBROKER_EXTENSION_DIR',
  /** The beginning of each line of the host. */
  mark: 'BPBROKER_EXTENSION_MARK',
} as const;

/** Whether a method is private, so that nobody can call it (contract, section 7). */
export function isPrivate(method: string): boolean {
  return method.startsWith('_');
}

/**
 * Whether a name can be that of an extension's method. It must not mean more than a name to a program or a
 * shell.
 */
export function isMethodName(method: string): boolean {
  return /^[A-Za-z][\w.-]{0,127}$/.test(method);
}

const levels: ReadonlySet<unknown> = new Set(['debug', 'info', 'warn', 'error']);

/**
 * The longest frame that is read by `parseJson`: the largest data of an entry, and 64 KiB around it. What
 * `parseJson` may have to do for a longer one would hold the broker up.
 */
const EXACT_LENGTH = MAX_DATA_BYTES + 64 * 1024;

/** Reads a frame; undefined where the text is not one. */
export function parseFrame(text: string): FromHost | undefined {
  let value: Json;
  try {
    value = (text.length <= EXACT_LENGTH ? parseJson(text) : JSON.parse(text)) as Json;
  } catch {
    return undefined;
  }
  const { type, level, message } = (value ?? {}) as Record<string, unknown>;
  if (type === 'log' && !(levels.has(level) && typeof message === 'string')) return undefined;
  return typeof type === 'string' ? (value as unknown as FromHost) : undefined;
}

/** The bytes of a part of a body. */
export function partBytes(part: Part): Uint8Array {
  return 'text' in part ? Buffer.from(part.text) : Buffer.from(part.base64, 'base64');
}
