import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { libcNames } from '../system/libc.ts';

/**
 * Lets more connections wait to be accepted on a port of this process. Bun has no option for it and uses 512.
 * A host whose connection finds no room tries again after 1 s, then 3 s and 7 s.
 *
 * It works only on Linux. Without /proc or libc nothing changes: the only cost is time, when very many
 * connect at once.
 */
export function extendBacklog(port: number, backlog: number): void {
  if (process.platform !== 'linux') return;
  const socket = attempt(() => listeningSocket(port));
  if (socket === undefined) return;
  listenAgain(socket, backlog).catch(nothing);
}

/** After any failure, the queue keeps its length. */
function nothing(): void {}

async function listenAgain(socket: number, backlog: number): Promise<void> {
  const { dlopen } = await import('bun:ffi');
  const symbols = { listen: { args: ['i32', 'i32'], returns: 'i32' } } as const;
  for (const library of libcNames) {
    const libc = attempt(() => dlopen(library, symbols));
    if (!libc) continue;
    // listen(2) on a listening socket changes only the length of its queue.
    libc.symbols.listen(socket, backlog);
    libc.close();
    return;
  }
}

/** The descriptor of this process's socket that listens on a TCP port. */
function listeningSocket(port: number): number | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const LISTEN = '0A';
  const links = new Set<string>();
  for (const table of ['tcp', 'tcp6']) {
    // proc(5): number, local address, remote address, state, six more, inode.
    for (const line of readFileSync(`/proc/self/net/${table}`, 'utf8').split('\n')) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] === LISTEN && fields[1]?.endsWith(`:${hex}`)) links.add(`socket:[${fields[9]}]`);
    }
  }
  const own = readdirSync('/proc/self/fd').find((fd) =>
    // One descriptor is closed by now: the one that listed the folder.
    links.has(attempt(() => readlinkSync(`/proc/self/fd/${fd}`)) ?? ''),
  );
  return own === undefined ? undefined : Number(own);
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
