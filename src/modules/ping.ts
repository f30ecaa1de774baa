import * as v from 'valibot';
import { parseObject, STRING_KEY } from '../protocol/formats/data.ts';
import { defineMethod, defineModule, jsonReply, type Module } from './module.ts';

/** The parameters of `Ping`. */
export const pingParams: v.GenericSchema<unknown, { readonly data?: unknown }> = v.strictObject({
  data: v.optional(v.unknown(), ''),
});

/** The module `ping`: `Ping` echoes its data with the caller's address, `{"src": IP, "data": …}`. */
export const ping: Module = defineModule({
  Ping: defineMethod({
    safe: true,
    params: pingParams,
    run: ({ data }, { clientAddress }) => jsonReply({ src: clientAddress, data: echo(data) }),
  }),
});

/** A string travels as `{"_str": …}`, unless it is the JSON of an object, as with entries. */
function echo(data: unknown): unknown {
  if (typeof data !== 'string') return data;
  return parseObject(data) ?? { [STRING_KEY]: data };
}
