import { exchange } from './exchange.ts';
import { serveNode } from './node-server.ts';
import type { Runtime } from './runtime.ts';
import { openVerifiedChannel } from './verified-channel.ts';
import { peerCertificate } from './verified-socket.ts';

/** The seam on Node. */
export const runtime: Runtime = {
  name: 'node',
  version: process.versions.node,
  serve: serveNode,
  sharedHeaders: (headers) => ({ ...headers }),
  openChannel: openVerifiedChannel,
  peerCertificate,
  exchange,
  // An extension may be TypeScript or lack a package.json, which Node would remark on in the broker's log.
  moduleCommand: (file) => [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
    file,
  ],
};
