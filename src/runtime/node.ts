import fs from 'node:fs';
import { serveNode } from './node-server.ts';
import { peerMethods } from './peer.ts';
import type { Runtime } from './runtime.ts';
import { writeAll } from './write-all.ts';
import { openPeer, openVerifiedChannel } from './verified-channel.ts';

/** The seam on Node. */
export const runtime: Runtime = {
  name: 'node',
  version: process.versions.node,
  serve: (options) => serveNode(options),
  sharedHeaders: (headers) => ({ ...headers }),
  fs: () => fs,
  readText: (file) => fs.readFileSync(file, 'utf8'),
  write: fs.writeSync,
  print: async (text) => writeAll(fs.writeSync, 1, Buffer.from(text)),
  openChannel: openVerifiedChannel,
  ...peerMethods(openPeer),
  // An extension may be TypeScript or lack a package.json, which Node would remark on in the broker's log.
  moduleCommand: (file) => [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
    file,
  ],
};
