import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const LOWEST = 10_000;
/** The ports of brokers by default, which a test may ask on purpose. */
const TAKEN = new Set([20_443, 20_444]);
/** Tries before it gives up. */
const TRIES = 100;

/**
 * A TCP port that nothing listens on, for a server that starts later or starts again. The kernel assigns none
 * like it to others: it is below the range of the ports for connections, so a connection of another test
 * cannot take it meanwhile.
 */
export async function freePort(): Promise<number> {
  const end = endOfFixedPorts();
  for (let i = 0; i < TRIES; i++) {
    const port = LOWEST + Math.floor(Math.random() * (end - LOWEST));
    if (!TAKEN.has(port) && (await isFree(port))) return port;
  }
  throw new Error(`No free port between ${LOWEST} and ${end} in ${TRIES} tries`);
}

/** Several at once; no two are the same. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}

/**
 * Where the ports begin that the kernel assigns to connections: `ip_local_port_range` on Linux, RFC 6335
 * elsewhere.
 */
function endOfFixedPorts(): number {
  const file = '/proc/sys/net/ipv4/ip_local_port_range';
  const lowest = existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : 49_152;
  // A machine that assigns nearly all ports to connections has no safe ones: then a free one has to do.
  return lowest >= 2 * LOWEST ? lowest : 49_152;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port), 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
  await once(server.close(), 'close');
  return true;
}
