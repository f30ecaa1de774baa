import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { waitFor } from '../support/wait.ts';

/** A server that is measured. */
export interface Server {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** A program and its arguments. */
export type CommandLine = readonly [string, ...string[]];

/**
 * Starts a server, and waits until it has printed its ready line on either stream.
 * @param port where it listens; default: the number that `ready` catches.
 */
export async function startServer(
  [file, ...args]: CommandLine,
  ready: RegExp,
  { cwd, port }: { readonly cwd?: string; readonly port?: number } = {},
): Promise<Server> {
  const child = spawn(file, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const found = await waitFor(`the ready line of ${file}`, () => ready.exec(printed));
  return {
    port: port ?? Number(found[1]),
    pid: child.pid ?? 0,
    async stop() {
      child.kill();
      await ended;
    },
  };
}
