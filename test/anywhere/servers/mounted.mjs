import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { app } from './registry.mjs';

const outer = new Hono();
outer.get('/', (c) => c.text('a page of the application'));
outer.route('/internal/registry', app);

const port = Number(process.env.PORT ?? 8080);
serve({ hostname: '127.0.0.1', port, fetch: outer.fetch }, (address) => {
  console.log(`listening on http://127.0.0.1:${address.port}`);
});
