import { createApp, defineMethod, defineModule, jsonReply } from 'bpbroker/app';
import { memoryStore } from 'bpbroker/store';
import * as v from 'valibot';

/** A module of your own: its methods are called as those of the broker are. */
const greet = defineModule({
  Hello: defineMethod({
    params: v.strictObject({ who: v.string() }),
    run: ({ who }, { clientAddress }) => jsonReply({ hello: who, at: clientAddress }),
  }),
});

/** The same app for every server. A key of the configuration is what lets a module be called. */
export const app = createApp({
  store: memoryStore(),
  config: { ping: {}, services: { _access_key: process.env.ACCESS_KEY }, greet: {} },
  modules: { greet },
});
