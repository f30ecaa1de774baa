import { Socket } from 'node:net';
import { runtime as node } from './node.ts';
import { libcNames } from './system/libc.ts';
import { serveNode } from './node/server.ts';
import { isPipeOrSocket, pollForBrokenPipe, type Poll } from './stdio/broken-pipe.ts';
import type { Runtime } from './runtime.ts';
import { streamWriter } from './stdio/stream-writer.ts';
import { writeAll } from './stdio/write-all.ts';

interface Stream {
  writeSync(bytes: Uint8Array): number;
}

declare const Deno: {
  readonly version: { readonly deno: string };
  readonly stdout: Stream;
  readonly permissions: { querySync(permission: { readonly name: 'ffi' }): { readonly state: string } };
  dlopen(
    file: string,
    symbols: { readonly poll: { readonly parameters: readonly string[]; readonly result: 'i32' } },
  ): {
    readonly symbols: { poll(pollfd: Uint8Array<ArrayBuffer>, count: number, timeoutMs: number): number };
  };
};

// `node:fs` reports a full pipe there even when it has written a part, and does not say how much.
const write: Runtime['write'] = (_fd, bytes) => Deno.stdout.writeSync(bytes);

/**
 * The runtime interface on Deno: its Node compatibility serves and connects. {@link serveNode} says what
 * `Deno.serve` lacks.
 */
export const runtime: Runtime = {
  ...node,
  name: 'deno',
  serve: (options) => serveNode(options, { acceptDies: true }),
  version: Deno.version.deno,
  runsTypeScript: true,
  environment: new Proxy({}, { get: (_none, name) => readVariable(name as string) }),
  write,
  // Deno's `process.stderr` waits for the reader.
  writeErrorLater: streamWriter(() => new Socket({ fd: 2, readable: false, writable: true })),
  print: async (text) => writeAll(write, 1, Buffer.from(text)),
  onBrokenPipe(action) {
    if (process.platform === 'win32' || !isPipeOrSocket(node.fs())) return;
    const poll = loadPoll();
    if (poll) pollForBrokenPipe(poll, action);
  },
  exit: (code) => process.exit(code),
  ownCommand: () => [process.execPath, 'run', '-A', '--no-lock', '--quiet', process.argv[1] ?? ''],
  moduleCommand: (file) => [process.execPath, 'run', '-A', '--no-lock', '--quiet', file],
};

/** Deno throws an error whose message has the value, which may be a key. */
function readVariable(name: string): string | undefined {
  try {
    return process.env[name];
  } catch (error) {
    if (['NotCapable', 'PermissionDenied'].includes((error as Error).name)) throw error;
    return '\uFFFD';
  }
}

/** poll(2), where this process may call native code. Deno must not ask the user for that permission. */
function loadPoll(): Poll | undefined {
  if (Deno.permissions.querySync({ name: 'ffi' }).state !== 'granted') return undefined;
  for (const name of libcNames) {
    try {
      const { symbols } = Deno.dlopen(name, {
        poll: { parameters: ['buffer', 'usize', 'i32'], result: 'i32' },
      });
      return (pollfd) => symbols.poll(pollfd, 1, 0);
    } catch {
      // The library has another name here, or is missing.
    }
  }
  return undefined;
}
