import { openBunChannel, openBunHostChannel } from './bun/channel.ts';
import { BunConnection } from './bun/connection.ts';
import { bunFiles } from './bun/files.ts';
import { peerMethods } from './tls/peer.ts';
import type { HttpServer, Runtime } from './runtime.ts';

/**
 * The runtime interface on Bun. It uses Bun's own server, which is half again as fast as `node:https` there.
 * It uses Bun's own sockets, since a client command has no time to load more. Parts that only some commands
 * need are loaded when they need them.
 */
export const runtime: Runtime = {
  name: 'bun',
  version: process.versions['bun'] ?? '',
  runsTypeScript: true,
  environment: process.env,
  async serve(options): Promise<HttpServer> {
    const { serveBun } = await import('./bun/server.ts');
    return serveBun(options);
  },
  sharedHeaders: (headers) => new Headers(headers),
  ...bunFiles,
  onBrokenPipe(action) {
    void import('./bun/broken-pipe.ts').then(({ onBrokenPipe }) => onBrokenPipe(bunFiles.fs(), action));
  },
  exit: (code) => process.exit(code),
  openChannel: openBunChannel,
  openHostChannel: async (options) => openBunHostChannel(options),
  openFetch({ authorities, cert, key }) {
    const own = cert === undefined ? {} : { cert, key };
    const tls = { ...(authorities === undefined ? {} : { ca: [...authorities] }), ...own };
    return Promise.resolve({
      fetch: (url, init) => fetch(url, { ...init, tls, timeout: false } as RequestInit),
      close: () => undefined,
    });
  },
  ...peerMethods((address, signal) => BunConnection.open(address, signal)),
  ownCommand() {
    const file = process.argv[1] ?? '';
    return isWithinExecutable(file) ? [process.execPath] : [process.execPath, ...process.execArgv, file];
  },
  moduleCommand(file) {
    if (isWithinExecutable(file)) return undefined;
    // Without the flag, Bun downloads packages that an extension imports and that are missing.
    return [process.execPath, '--no-install', file];
  },
};

/** Whether a file is in the file system within an executable. Its root has another name on Windows. */
function isWithinExecutable(file: string): boolean {
  return /^(?:[A-Z]:[\\/]~BUN|[\\/]\$bunfs)[\\/]/.test(file);
}
