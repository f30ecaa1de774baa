import { app } from './registry.mjs';

const port = Number(Deno.env.get('PORT') ?? 8080);
const onListen = (address) => console.log(`listening on http://127.0.0.1:${address.port}`);
Deno.serve({ hostname: '127.0.0.1', port, onListen }, app.fetch);
