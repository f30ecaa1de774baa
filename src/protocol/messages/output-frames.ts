import type { ErrorCode } from '../errors.ts';
import type { Head, Part } from './extension.ts';

/**
 * An answer that comes over time, in frames: what a client gets that asks for this content type. Plain HTTP can say no
 * more of a failure that comes after the first byte than to break the connection off; a frame can carry it. One JSON object
 * a line: `head` first, any number of parts, at last `end` or `error`; an empty line says that it is still at work.
 */
export const FRAMES_TYPE = 'application/x-bpbroker-frames';

export type OutputFrame =
  | { readonly head: Head }
  | Part
  | { readonly end: true }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly status: number } };

/** How often an empty line is sent while there is nothing else. */
export const HEARTBEAT_MS = 15_000;
/** How long a client may hear nothing before it takes the connection for dead: longer than two heartbeats. */
export const SILENCE_MS = 40_000;
