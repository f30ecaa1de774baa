import type { ErrorCode } from '../errors.ts';
import type { Head, Part } from './extension-frames.ts';

/**
 * An answer over time, in frames: for clients that ask for this content type. In plain HTTP, a failure after
 * the first byte can only break the connection; a frame can carry the error. Each line is one JSON object:
 * first `head`, then any number of parts, then `end` or `error`. An empty line says that the work is still
 * going on.
 */
export const FRAMES_TYPE = 'application/x-bpbroker-frames';

/** One frame of an answer. */
export type OutputFrame =
  | { readonly head: Head }
  | Part
  | { readonly end: true }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly status: number } };

/** The pause after which an empty line is sent when there is nothing else to send. */
export const HEARTBEAT_MS = 15_000;
/** The silence after which a client takes the connection for dead: longer than two heartbeats. */
export const SILENCE_MS = 40_000;
