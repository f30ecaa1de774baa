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
};
