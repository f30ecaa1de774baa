import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

/** What an attacker may send to discovery without its key. */
export type FloodKind =
  | 'garbage'
  | 'names not held'
  | 'valid queries'
  | 'short valid queries'
  | 'captured queries';

export interface FloodOptions {
  /** UDP port of the broker, on loopback. */
  readonly port: number;
  /** Datagrams in a second, all sources together. */
  readonly perSecond: number;
  readonly kind: FloodKind;
  /** A name that the broker holds, for what asks for one. */
  readonly name?: string;
  /** The key that captured queries were made with. */
  readonly key?: string;
  /** Loopback addresses to send from, in turn. */
  readonly from: readonly string[];
}

export interface Flood {
  readonly pid: number;
  /** Ends it. Returns how many datagrams it sent in a second. */
  end(): Promise<number>;
}

/**
 * Floods discovery from a process of its own, until it is ended or this process ends.
 * @param execPath the runtime of that process; default: this one.
 */
export async function startFlood(options: FloodOptions, execPath: string = process.execPath): Promise<Flood> {
  const script = path.join(import.meta.dirname, 'flood-process.ts');
  const child = fork(script, [JSON.stringify(options)], { execPath, execArgv: [] });
  const ended = once(child, 'exit');
  const first = await Promise.race([once(child, 'message'), ended]);
  if (first[0] !== 'ready')
    throw new Error(`The flood of port ${options.port} ended with ${String(first[0])}`);
  return {
    pid: child.pid ?? 0,
    async end() {
      const told = Promise.race([once(child, 'message'), ended]);
      child.send('end');
      const [perSecond] = (await told) as [unknown];
      await ended;
      return Number(perSecond);
    },
  };
}
