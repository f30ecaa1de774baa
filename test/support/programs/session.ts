import assert from 'node:assert/strict';
import path from 'node:path';
import { cleanEnv } from './clean-env.ts';
import { atEnd } from '../cleanup.ts';
import { type Abbreviations, exchangesOf, matches } from '../documents/documents.ts';
import { programFolder } from './program-folder.ts';
import { type Launcher, parseReady } from './programs.ts';
import { freePort, type Running, start } from '../../programs/support.ts';
import { createTerminal } from './terminal.ts';
import { waitFor } from '../wait.ts';

/** The terminals of a user who types the commands of a page. */
export interface Sessions {
  /** Types a session, and checks that the terminal shows what the page does. */
  type(session: string): Promise<void>;
  /** What the broker has printed since it was started last. */
  brokerLog(): string;
}

export interface SessionsOptions {
  /** The programs that are typed. */
  readonly launcher: Launcher;
  /** The folder to type in. */
  readonly dir: string;
  /** Further programs, by name. */
  readonly programs?: Readonly<Record<string, readonly string[]>>;
}

const startCommand = 'bpbroker start';

/**
 * Variables that are exported hold from one command to the next. A session that has `bpbroker start` begins with no broker
 * running; that one runs until the next such session. The page's port 20443 and folder /usr/local/bpbroker are the test's.
 */
export async function openSessions({ launcher, dir, programs = {} }: SessionsOptions): Promise<Sessions> {
  const port = String(await freePort());
  const bin = programFolder(launcher, programs);
  const env = cleanEnv(dir, {
    PATH: `${bin}${path.delimiter}${process.env['PATH'] ?? ''}`,
    BPBROKER_LISTEN_PORT: port,
  });
  const known: Abbreviations = new Map();
  let broker: Running | undefined;
  atEnd(() => broker?.child.kill());

  // Not within a key, which may have the same digits.
  const ownPort = new RegExp(String.raw`\b${port}\b`, 'g');
  const asShown = (text: string): string =>
    text.replaceAll(path.join(dir, 'bpbroker'), '/usr/local/bpbroker').replaceAll(ownPort, '20443');
  const asTyped = (text: string): string => text.replaceAll('20443', port);

  const startBroker = async (shown: string): Promise<void> => {
    const running = start([path.join(bin, 'bpbroker'), 'start'], { env, cwd: dir });
    broker = running;
    await waitFor('the ready line', () => parseReady(running.stderr())).catch((error) =>
      assert.fail(`${String(error)}: ${running.stderr()}`),
    );
    for (const line of shown.trim().split('\n'))
      assert.ok(
        asShown(running.stderr())
          .split('\n')
          .some((printed) => matches(line, printed, known)),
        `${line}\n${running.stderr()}`,
      );
  };

  const terminal = createTerminal({ dir, env, known, asShown, asTyped });

  return {
    brokerLog: () => broker?.stderr() ?? '',
    async type(session) {
      const exchanges = exchangesOf(session);
      if (exchanges.some(({ command }) => command === startCommand)) await broker?.stop('SIGTERM');
      for (const { command, shown } of exchanges) {
        if (command === startCommand) await startBroker(shown);
        else await terminal.enter({ command, shown });
      }
    },
  };
}
