import { serve } from '@hono/node-server';
import { app } from './registry.mjs';

const port = Number(process.env.PORT ?? 8080);
serve({ hostname: '127.0.0.1', port, fetch: app.fetch }, (address) => {
  console.log(`listening on http://127.0.0.1:${address.port}`);
});
