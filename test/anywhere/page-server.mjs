import { readFileSync } from 'node:fs';
import { Hono } from 'hono';
// Beside the other servers of this folder.
import { app } from './registry.mjs';

const outer = new Hono();
outer.route('/internal/registry', app);

const tls = { cert: readFileSync('cert.pem', 'utf8'), key: readFileSync('key.pem', 'utf8') };
const port = Number(process.env.PORT ?? 8443);
const hostname = '127.0.0.1';
const say = (at) => console.log(`listening on https://${hostname}:${at}`);
if (globalThis.Deno) Deno.serve({ hostname, port, ...tls, onListen: (at) => say(at.port) }, outer.fetch);
else say(Bun.serve({ hostname, port, tls, fetch: outer.fetch }).port);
