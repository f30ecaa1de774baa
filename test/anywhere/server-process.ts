import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../build/root.ts';
import { follow, type Running, start } from '../programs/support.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { consumer } from '../support/documents/consumer.ts';
import { waitFor } from '../support/wait.ts';
import { KEY, type Target } from './target.ts';

export { follow };

/** A copy of a folder of the project as the project of a user who has installed `bpbroker` from npm, and these packages. */
export function projectOf(folder: string, packages: readonly string[] = []): string {
  const dir = consumer();
  cpSync(path.join(root, folder), dir, { recursive: true });
  for (const name of packages) {
    const link = path.join(dir, 'node_modules', name);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(path.join(root, 'node_modules', name), link);
  }
  return dir;
}

/** The environment of a server: its port is one that is free. */
export function serverEnv(dir: string): Record<string, string> {
  return cleanEnv(dir, { PORT: '0', ACCESS_KEY: KEY });
}

export interface ServerProcess {
  readonly origin: string;
  readonly running: Running;
}

/** Starts a server that says where it listens, and waits until it does. */
export async function startServer(dir: string, command: readonly string[]): Promise<ServerProcess> {
  const running = start(command, { cwd: dir, env: serverEnv(dir) });
  const origin = await waitFor(
    `the address of ${command.join(' ')}`,
    () => /^listening on (https?:\S+)$/m.exec(running.stdout())?.[1],
    30_000,
  ).catch((error) => {
    throw new Error(`It did not listen; on stderr: ${running.stderr()}`, { cause: error });
  });
  return { origin, running };
}

/** Longest that a request of the suite may take. */
const LONGEST_MS = 20_000;

/** An app that a server of this machine has at `base`. */
export function served(base: string): Target {
  return {
    fetch: (at, init) => fetch(base + at, { signal: AbortSignal.timeout(LONGEST_MS), ...init }),
    clientAddress: '127.0.0.1',
    can: { stream: true, concurrent: true },
  };
}
