/** Methods with arktype's schemas, whose own declarations need those of Node; it is compiled and never run. */
import { type } from 'arktype';
import { defineMethod, defineModule, jsonReply, type Module } from 'bpbroker';

export const greetings: Module = defineModule({
  Hello: defineMethod({
    safe: true,
    params: type({ who: 'string', 'times?': 'number', '+': 'reject' }),
    run: ({ who, times = 1 }) => jsonReply({ hello: who.repeat(times) }, 201),
  }),
  Parsed: defineMethod({
    params: type({ at: 'string.date.parse' }),
    run: ({ at }) => jsonReply({ year: at.getFullYear() }),
  }),
});

// @ts-expect-error -- the schema has no such parameter
defineMethod({ params: type({ who: 'string' }), run: ({ whom }) => jsonReply(whom) });
