import { Socket } from 'node:net';
import { runtime as node } from './node.ts';
import { serveNode } from './node-server.ts';
import type { Runtime } from './runtime.ts';
import { streamWriter } from './stream-writer.ts';
import { writeAll } from './write-all.ts';

interface Stream {
  writeSync(bytes: Uint8Array): number;
}

declare const Deno: {
  readonly version: { readonly deno: string };
  readonly stdout: Stream;
};

// `node:fs` reports a full pipe there also when it has written a part, and does not say how much.
const write: Runtime['write'] = (_fd, bytes) => Deno.stdout.writeSync(bytes);

/** The seam on Deno: its Node compatibility serves and connects; what `Deno.serve` lacks stands in `node-server.ts`. */
export const runtime: Runtime = {
  ...node,
  name: 'deno',
  serve: (options) => serveNode(options, { acceptDies: true }),
  version: Deno.version.deno,
  runsTypeScript: true,
  write,
  // Its `process.stderr` waits for the reader.
  writeErrorLater: streamWriter(() => new Socket({ fd: 2, readable: false, writable: true })),
  print: async (text) => writeAll(write, 1, Buffer.from(text)),
  exit: (code) => process.exit(code),
  moduleCommand: (file) => [process.execPath, 'run', '-A', '--no-lock', '--quiet', file],
};
