/** Readers of watches that go on at another broker when theirs is lost. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { request } from 'node:https';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from '../../../build/root.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import type { Random } from '../../support/network/http-fuzz.ts';
import type { Told } from '../history/watch-check.ts';
import { BROKER_PORT, type Door } from './brokers.ts';
import { dataIn } from './calls.ts';

export interface Reader {
  readonly what: string;
  readonly after: number;
  covers(name: string): boolean;
  readonly listsAfterReset: boolean;
  /** What it received so far. */
  readonly told: (Told & { readonly at: number })[];
  /** How often it went on elsewhere; nothing where the reader does not tell. */
  readonly resumed: number | undefined;
  /** The entries from what it received, and from what it read after a reset; nothing if it keeps none. */
  entries(): Map<string, Held> | undefined;
  /** Answers that no watch may have. */
  readonly broken: string[];
  stop(): Promise<void>;
}

/** An entry, or that there is none, as of a revision. */
export interface Held {
  readonly revision: number;
  readonly data?: unknown;
}

export interface ReaderOptions {
  readonly scope: { readonly prefix: string } | { readonly name: string };
  readonly after: number;
  /** The entries as of that revision. */
  readonly initial: ReadonlyMap<string, Held>;
  readonly doors: readonly Door[];
  readonly random: Random;
  /** Longest that it waits until it goes on, in milliseconds; default 200. */
  readonly pauseMs?: number;
}

/** A reader of Server-Sent Events that resumes after the last revision it received. */
export function startReader({ scope, after, initial, doors, random, pauseMs = 200 }: ReaderOptions): Reader {
  const told: Reader['told'] = [];
  const broken: string[] = [];
  const covers = (name: string): boolean =>
    'name' in scope ? name === scope.name : name.startsWith(scope.prefix);
  const held = new Map([...initial].filter(([name]) => covers(name)));
  const ending = new AbortController();
  const { signal } = ending;
  const listings = new Set<Promise<void>>();
  let position = after;
  let resumed = -1;
  const hold = (name: string, entry: Held): void => {
    if (entry.revision >= (held.get(name)?.revision ?? 0)) held.set(name, entry);
  };

  function take(type: string, data: string): void {
    // The connection ends then.
    if (type === 'error') return;
    const item = { ...(JSON.parse(data) as Told), at: performance.now() };
    if (type === 'watching') {
      if (item.revision !== position) broken.push(`it resumes at ${item.revision}, and not at ${position}`);
      return;
    }
    told.push(item);
    position = item.revision;
    if (item.type === 'reset') {
      held.clear();
      const listing = listAnew().finally(() => listings.delete(listing));
      listings.add(listing);
    } else if (item.name !== undefined) hold(item.name, item);
  }

  /** As a reader does after a reset. */
  async function listAnew(): Promise<void> {
    const prefix = 'name' in scope ? scope.name : scope.prefix;
    while (!signal.aborted) {
      const { status, body } = await pick(random, doors).call('List', { prefix });
      const { entries = [], next } = (body.data ?? {}) as {
        entries?: { name: string; revision: number; data: unknown }[];
        next?: string;
      };
      if (status === 200 && next === undefined) {
        for (const { name, revision, data } of entries) hold(name, { revision, data: dataIn(data) });
        return;
      }
      await sleep(50);
    }
  }

  async function follow(): Promise<void> {
    while (!signal.aborted) {
      resumed++;
      await readEvents(pick(random, doors), { ...scope, after: position }, signal, take);
      await sleep(random() * pauseMs);
    }
  }

  const following = follow();
  return {
    what: `a reader of ${JSON.stringify(scope)}`,
    after,
    covers,
    listsAfterReset: false,
    told,
    broken,
    get resumed(): number {
      return resumed;
    },
    entries: () => held,
    async stop() {
      await Promise.all(listings);
      ending.abort();
      await following;
    },
  };
}

/** Reads one watch until it breaks or `signal` ends it. */
async function readEvents(
  { address }: Door,
  body: object,
  signal: AbortSignal,
  take: (type: string, data: string) => void,
): Promise<void> {
  await new Promise<void>((resolve) => {
    const sent = request(
      {
        host: address,
        port: BROKER_PORT,
        path: '/services/Watch',
        method: 'POST',
        rejectUnauthorized: false,
        agent: false,
        headers: { 'content-type': 'application/json' },
        signal,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          const blocks = (text + chunk).split('\n\n');
          text = blocks.pop() ?? '';
          for (const block of blocks) {
            const type = /^event: ?(.*)$/m.exec(block)?.[1];
            const data = /^data: ?(.*)$/m.exec(block)?.[1];
            if (type !== undefined && data !== undefined) take(type, data);
          }
        });
        response.once('error', () => resolve());
        response.once('close', () => resolve());
      },
    );
    sent.once('error', () => resolve());
    sent.end(JSON.stringify(body));
  });
}

/** `bpclient service watch`, which finds the brokers itself. */
export function startWatchCommand(
  after: number,
  prefix: string,
  doors: readonly Door[],
  scratch: string,
): Reader {
  const told: Reader['told'] = [];
  const broken: string[] = [];
  const home = path.join(scratch, 'watcher');
  mkdirSync(home);
  const targets = doors.flatMap(({ address }) => ['--target', address]);
  const args = ['service', 'watch', '--prefix', prefix, '--after', String(after), ...targets];
  const child: ChildProcess = spawn(path.join(root, 'dist', 'bpclient'), [...args, '--interface', 'eth1'], {
    env: cleanEnv(home, { BPBROKER_INTERFACES: 'eth1' }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr?.on('data', (bytes) => (said = (said + String(bytes)).slice(-2000)));
  let isStopping = false;
  const ended = new Promise<void>((resolve) => {
    child.once('close', (code, signal) => {
      if (!isStopping) broken.push(`it ended with ${signal ?? code}: ${said}`);
      resolve();
    });
  });
  if (child.stdout) {
    createInterface({ input: child.stdout }).on('line', (line) =>
      told.push({ ...(JSON.parse(line) as Told), at: performance.now() }),
    );
  }
  return {
    what: `bpclient service watch --prefix ${prefix}`,
    after,
    covers: (name) => name.startsWith(prefix),
    listsAfterReset: true,
    told,
    broken,
    resumed: undefined,
    entries: () => undefined,
    async stop() {
      isStopping = true;
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function pick<T>(random: Random, all: readonly T[]): T {
  return all[Math.floor(random() * all.length)] as T;
}
