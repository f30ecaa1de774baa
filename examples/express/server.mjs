import { getRequestListener } from '@hono/node-server';
import { createApp, defineMethod, defineModule, jsonReply } from 'bpbroker/app';
import { memoryStore } from 'bpbroker/store';
import express from 'express';
import * as v from 'valibot';

/** A module of the application's own, which clients of the registry call by name. */
const greet = defineModule({
  Hello: defineMethod({
    params: v.strictObject({ who: v.string() }),
    run: ({ who }, { clientAddress }) => jsonReply({ hello: who, at: clientAddress }),
  }),
});

const registry = createApp({
  store: memoryStore(),
  config: { ping: {}, services: { _access_key: process.env.ACCESS_KEY }, greet: {} },
  modules: { greet },
});

const application = express();
// Before whatever reads bodies: the registry reads its own.
application.use('/registry', getRequestListener(registry.fetch));
application.use(express.json());
application.get('/', (request, response) => response.send('a page of the application\n'));
application.post('/double', (request, response) => response.json({ doubled: request.body.number * 2 }));

const server = application.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
