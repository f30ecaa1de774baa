import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { atEnd } from '../cleanup.ts';

/**
 * Serves the files of a folder on loopback until the tests of the file have ended; returns its URL. Tells of
 * what is asked for.
 */
export async function serveFiles(dir: string, onRequest?: (url: string) => void): Promise<string> {
  const server = createServer((request, response) => {
    onRequest?.(request.url ?? '');
    const file = path.join(dir, path.basename(request.url ?? ''));
    if (existsSync(file)) createReadStream(file).pipe(response);
    else response.writeHead(404).end('not found');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
