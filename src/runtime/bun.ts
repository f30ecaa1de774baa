import { openBunChannel } from './bun-channel.ts';
import type { HttpServer, Runtime } from './runtime.ts';

/**
 * The seam on Bun: its own server (half again as fast as `node:https` there) and its own `fetch` (a third of the
 * start-up of `node:https`). What only some commands need is loaded when they need it.
 */
export const runtime: Runtime = {
  name: 'bun',
  version: process.versions['bun'] ?? '',
  async serve(options): Promise<HttpServer> {
    const { serveBun } = await import('./bun-server.ts');
    return serveBun(options);
  },
  sharedHeaders: (headers) => new Headers(headers),
  openChannel(options) {
    return openBunChannel(options);
  },
  async peerCertificate(address, timeoutMs) {
    const { peerCertificate } = await import('./verified-socket.ts');
    return peerCertificate(address, timeoutMs);
  },
  async exchange(address, request) {
    const { exchange } = await import('./exchange.ts');
    return exchange(address, request);
  },
  moduleCommand(file) {
    // The file system that an executable carries within itself, as it is named on Windows and elsewhere.
    if (/^(?:[A-Z]:[\\/]~BUN|[\\/]\$bunfs)[\\/]/.test(file)) return undefined;
    // Without the flag Bun fetches packages that an extension imports and that are not there.
    return [process.execPath, '--no-install', file];
  },
};
