import { app } from './registry.mjs';

const server = Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT ?? 8080, fetch: app.fetch });
console.log(`listening on ${server.url.origin}`);
