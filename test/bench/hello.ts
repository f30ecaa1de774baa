import { Hono } from 'hono';
import { readFileSync } from 'node:fs';
import { runtime } from '#runtime';

/**
 * The yardstick: a bare Hono application that answers a line of JSON, on the runtime's own fastest way of serving, with
 * the TLS settings and certificate of the broker. Arguments: certificate file, key file.
 */
const [certFile = '', keyFile = ''] = process.argv.slice(2);
const cert = readFileSync(certFile, 'utf8');
const key = readFileSync(keyFile, 'utf8');
const app = new Hono();
app.get('/', (c) => c.json({ success: true, message: 'hello' }));

if (runtime.name === 'bun') {
  const { port } = Bun.serve({ port: 0, hostname: '127.0.0.1', tls: { cert, key }, fetch: app.fetch });
  process.stdout.write(`ready: ${port}\n`);
} else {
  const { createAdaptorServer } = await import('@hono/node-server');
  const { createServer } = await import('node:https');
  const server = createAdaptorServer({
    fetch: app.fetch,
    createServer,
    serverOptions: { cert, key, noDelay: true },
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    process.stdout.write(`ready: ${typeof address === 'object' ? address?.port : address}\n`);
  });
}
