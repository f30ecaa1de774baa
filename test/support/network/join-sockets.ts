import type { Socket } from 'node:net';

/**
 * Passes bytes between two connections. The end of one is the end of the other. A server may not know of a
 * connection on which nothing was sent (TCP_DEFER_ACCEPT, as Bun has it). So it would never end it.
 */
export function joinSockets(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy());
    from.once('close', () => to.destroySoon());
    from.pipe(to);
    if (from.destroyed) to.destroy();
  }
}
