import { runtime as node } from './node.ts';
import type { Runtime } from './runtime.ts';

declare const Deno: { readonly version: { readonly deno: string } };

/** The seam on Deno: its Node compatibility serves and connects; what `Deno.serve` lacks stands in `node-server.ts`. */
export const runtime: Runtime = {
  ...node,
  name: 'deno',
  version: Deno.version.deno,
  moduleCommand: (file) => [process.execPath, 'run', '-A', '--no-lock', '--quiet', file],
};
