import * as v from 'valibot';
import type { Json } from '../formats/data.ts';
import { type ErrorCode, errorCodes } from '../errors.ts';

/** An answer in the envelope of the built-in modules (contract, section 5). */
export interface Envelope {
  readonly success: boolean;
  readonly message: string;
  readonly data?: Json;
  /** The error's code, on a failure. */
  readonly code?: ErrorCode;
  /** The revision of the entry or, for a list, of the registry. */
  readonly revision?: number;
  /** The lifetime of the entry in seconds, where it has one. */
  readonly ttl?: number;
  /** The seconds until the entry expires unless it is renewed, where it has a lifetime. */
  readonly expires_in?: number;
}

/** The schema of {@link Envelope}, to check an answer against. */
export const envelopeSchema: v.GenericSchema<unknown, Envelope> = v.strictObject({
  success: v.boolean(),
  message: v.string(),
  data: v.exactOptional(v.custom<Json>((value) => value !== undefined)),
  code: v.exactOptional(v.picklist(errorCodes)),
  revision: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  ttl: v.exactOptional(v.pipe(v.number(), v.minValue(0))),
  expires_in: v.exactOptional(v.pipe(v.number(), v.minValue(0))),
});
