import { openBunChannel, openBunSite } from './bun-channel.ts';
import { BunConnection } from './bun-connection.ts';
import { bunFiles } from './bun-files.ts';
import { peerMethods } from './peer.ts';
import type { HttpServer, Runtime } from './runtime.ts';

/**
 * The seam on Bun: its own server (half again as fast as `node:https` there) and its own sockets (a client command has no
 * time to load more). What only some commands need is loaded when they need it.
 */
export const runtime: Runtime = {
  name: 'bun',
  version: process.versions['bun'] ?? '',
  runsTypeScript: true,
  async serve(options): Promise<HttpServer> {
    const { serveBun } = await import('./bun-server.ts');
    return serveBun(options);
  },
  sharedHeaders: (headers) => new Headers(headers),
  ...bunFiles,
  exit: (code) => process.exit(code),
  openChannel: openBunChannel,
  openSite: async (options) => openBunSite(options),
  ...peerMethods((address, signal) => BunConnection.open(address, signal)),
  moduleCommand(file) {
    // The file system that an executable carries within itself, as it is named on Windows and elsewhere.
    if (/^(?:[A-Z]:[\\/]~BUN|[\\/]\$bunfs)[\\/]/.test(file)) return undefined;
    // Without the flag Bun fetches packages that an extension imports and that are not there.
    return [process.execPath, '--no-install', file];
  },
};
