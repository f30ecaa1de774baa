import type { Json, JsonObject } from '../formats/data.ts';
import type { ErrorCode } from '../errors.ts';

/**
 * What a broker and the host process of an extension say to each other (docs/extensions.md, "Hosts"): lines of JSON, to
 * the host on its standard input, from the host on its standard output. A host begins each of its lines with a mark that
 * the broker made for it, so that whatever the extension itself prints there is told apart, and goes to the log.
 */

/** From the broker to a host. One call runs at a time. */
export type ToHost =
  | ({ readonly type: 'call'; readonly id: number } & CallFrame)
  /** The caller has gone. */
  | { readonly type: 'abort'; readonly id: number }
  /** What came of an `ask`: the envelope of a built-in module, or the error. */
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

/** From a host to the broker. `id` is that of the call, for `ask` one that the host chose. */
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
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string }
  /** Something that the call asks of the broker: a method of `services`, or a lock. */
  | { readonly type: 'ask'; readonly id: number; readonly call: number; readonly question: Question };

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

/** Most of a body that travels in one frame, in bytes; a longer one comes in parts. */
export const PART_BYTES: number = 64 * 1024;
/** Longest line that a broker takes from a host: the largest data of an entry, every unit of it an escape. */
export const MAX_FRAME_BYTES: number = 8 * 1024 * 1024;

/** Content type of text that says nothing of its own. */
export const TEXT_TYPE = 'text/plain; charset=utf-8';
export const BYTES_TYPE = 'application/octet-stream';
export const JSON_TYPE = 'application/json';

/** Variables of the environment in which a host finds what it runs. They are taken out before the extension is loaded. */
export const hostVariables = {
  /** Real path of the extension's file. */
  file: 'BPBROKER_EXTENSION_FILE',
  /** The module's name. */
  name: 'BPBROKER_EXTENSION_NAME',
  /** The extension directory. */
  dir: 'BPBROKER_EXTENSION_DIR',
  /** What each line of the host begins with. */
  mark: 'BPBROKER_EXTENSION_MARK',
} as const;

/** Whether a method is private: it is no one's to call (contract, section 7). */
export function isPrivate(method: string): boolean {
  return method.startsWith('_');
}

/** Whether a name can be that of an extension's method; what could be more than a name to a program or a shell cannot. */
export function isMethodName(method: string): boolean {
  return /^[A-Za-z][\w.-]{0,127}$/.test(method);
}

const levels: ReadonlySet<unknown> = new Set(['debug', 'info', 'warn', 'error']);

/** Reads a frame; nothing where the text is none. */
export function parseFrame(text: string): FromHost | undefined {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
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
