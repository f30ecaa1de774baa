import fs from 'node:fs';
import { isatty } from 'node:tty';
import { AEAD_CIPHERS } from './http/server-limits.ts';
import { serveNode } from './node/server.ts';
import { peerMethods } from './tls/peer.ts';
import type { Runtime } from './runtime.ts';
import { streamWriter } from './stdio/stream-writer.ts';
import { writeAll } from './stdio/write-all.ts';
import { openPeer, openVerifiedChannel } from './tls/verified-channel.ts';

/** Node refuses TLS 1.3 where a list of suites has none of its names. */
const TLS_13_CIPHERS = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256';

/** The runtime interface on Node. */
export const runtime: Runtime = {
  name: 'node',
  version: process.versions.node,
  runsTypeScript: Boolean(process.features.typescript),
  environment: process.env,
  serve: (options) => serveNode(options, { ciphers: `${TLS_13_CIPHERS}:${AEAD_CIPHERS}` }),
  sharedHeaders: (headers) => ({ ...headers }),
  fs: () => fs,
  readText: (file) => fs.readFileSync(file, 'utf8'),
  write: fs.writeSync,
  writeErrorLater: streamWriter(() => process.stderr),
  print: async (text) => writeAll(fs.writeSync, 1, Buffer.from(text)),
  onBrokenPipe(action) {
    void import('./node/broken-pipe.ts').then(({ onBrokenPipe }) => onBrokenPipe(action));
  },
  exit(code) {
    for (const fd of [0, 1, 2]) closeIfHungUp(fd);
    process.exit(code);
  },
  openChannel: openVerifiedChannel,
  async openHostChannel(options) {
    const { openHostChannel } = await import('./tls/host-channel.ts');
    return openHostChannel(options);
  },
  async openFetch(options) {
    const { openSecureFetch } = await import('./tls/secure-fetch.ts');
    return openSecureFetch(options);
  },
  ...peerMethods(openPeer),
  ownCommand: () => [process.execPath, ...process.execArgv, process.argv[1] ?? ''],
  // An extension may be TypeScript or lack a package.json; Node would write warnings about that to the
  // broker's log.
  moduleCommand: (file) => [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
    file,
  ],
};

/**
 * Closes a terminal that has hung up: Node 20 restores the modes of its terminals at its end, and would abort
 * there.
 */
function closeIfHungUp(fd: number): void {
  try {
    if (fs.fstatSync(fd).isCharacterDevice() && !isatty(fd)) fs.closeSync(fd);
  } catch {
    // It is closed already.
  }
}
