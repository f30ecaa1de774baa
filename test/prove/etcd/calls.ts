/** The calls of the clients of one history, and what they are answered. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../support/network/http-fuzz.ts';
import type { Answer as Response } from '../broker.ts';
import type { Answer, Call, Data } from '../history/linearizable.ts';
import type { Door } from './brokers.ts';

export interface History {
  readonly names: readonly string[];
  readonly calls: Call[];
  /** Answers that no call may have. */
  readonly broken: string[];
  /** No further calls; settles once those under way have ended. */
  stop(): Promise<void>;
}

export interface HistoryOptions {
  readonly n: number;
  readonly doors: readonly Door[];
  readonly random: Random;
}

const NAMES = 2;
const CLIENTS = 6;
const CALLS_EACH = 40;
const PAUSE_MS = 80;
/** How long a client waits: some give up before their broker does. */
const PATIENCE_MS = [1500, 4000, 9000];

const methods = {
  get: 'Get',
  register: 'Register',
  replace: 'Replace',
  update: 'Update',
  delete: 'Delete',
} as const;

/** By how often they are called. */
const kinds: readonly Call['kind'][] = [
  'get',
  'get',
  'get',
  'get',
  'register',
  'register',
  'replace',
  'replace',
  'update',
  'update',
  'update',
  'delete',
  'delete',
];

/** Begins it: clients that call now one broker and now another. */
export function startHistory({ n, doors, random }: HistoryOptions): History {
  const names = Array.from({ length: NAMES }, (_, i) => `h${n}/${i}`);
  const calls: Call[] = [];
  const broken: string[] = [];
  const known = new Map<string, number[]>();
  let mark = 0;
  const ending = new AbortController();

  async function client(c: number): Promise<void> {
    for (let i = 0; i < CALLS_EACH && !ending.signal.aborted; i++) {
      const door = doors[(random() < 0.75 ? c : Math.floor(random() * 3)) % 3] as Door;
      await oneCall(door, c);
      await sleep(random() * PAUSE_MS);
    }
  }

  async function oneCall(door: Door, c: number): Promise<void> {
    const kind = pick(random, kinds);
    const name = pick(random, names);
    const seen = known.get(name) ?? [];
    const isConditional = kind !== 'get' && kind !== 'register' && random() < 0.4;
    // Mostly the last one seen: one that is long past is refused whatever happens.
    const ifRevision = random() < 0.1 ? 0 : (seen.at(random() < 0.85 ? -1 : -2) ?? 0);
    const isPut = kind !== 'get' && kind !== 'delete';
    const own = ++mark;
    const call = {
      kind,
      name,
      ...(isPut && { data: { n: own, by: { [`c${c}`]: own } } }),
      ...(isConditional && { ifRevision }),
    };
    const began = performance.now();
    const body = { name, data: call.data, if_revision: call.ifRevision };
    const response = await door.call(methods[kind], body, pick(random, PATIENCE_MS));
    // It has never been sent.
    if (response.status === 0 && response.body.message?.startsWith('connect ')) return;
    const answer = answerOf(kind, response);
    if (answer === undefined) {
      broken.push(`${JSON.stringify(call)} was answered ${response.status}: ${response.body.message ?? ''}`);
      return;
    }
    const ended = answer.is === 'unknown' ? Infinity : performance.now();
    calls.push({ ...call, began, ended, answer });
    if (answer.is === 'done' && answer.data) known.set(name, [...seen.slice(-1), answer.revision]);
  }

  const running = Promise.all(Array.from({ length: CLIENTS }, (_, c) => client(c)));
  return {
    names,
    calls,
    broken,
    async stop() {
      ending.abort();
      await running;
    },
  };
}

/** What an answer means; nothing for one that no call may have. */
function answerOf(kind: Call['kind'], { status, body }: Response): Answer | undefined {
  const { revision, code, data, message = '' } = body;
  if (status === 0) return { is: 'unknown' };
  if (status === 503 && code === 'outcome_unknown' && kind !== 'get') return { is: 'unknown' };
  if (status === 503 && code === 'unavailable') return { is: 'undone' };
  if (status === 404 && code === 'not_found' && kind === 'get') return { is: 'absent' };
  if (status === 409 && code === 'already_exists' && kind === 'register') return { is: 'refused' };
  if (status === 409 && code === 'revision_conflict') {
    const present = /is at revision (\d+), not/.exec(message)?.[1];
    if (present !== undefined) return { is: 'refused', present: Number(present) };
    return /does not exist; expected/.test(message) ? { is: 'refused', present: 0 } : undefined;
  }
  if (status !== 200 || revision === undefined) return undefined;
  return kind === 'delete' ? { is: 'done', revision } : { is: 'done', revision, data: dataIn(data) };
}

/** An entry's data without its stamps. */
export function dataIn(stamped: unknown): Data {
  const { last_write_ts: _ts, last_write_ip: _ip, ...data } = stamped as Data & Record<string, unknown>;
  return data;
}

/** Reads a name once it can be read, and adds that to the history; throws when it cannot within 20 s. */
export async function readAtEnd(history: History, door: Door): Promise<void> {
  for (const name of history.names) {
    const until = performance.now() + 20_000;
    for (;;) {
      const began = performance.now();
      const response = await door.call('Get', { name }, 5000);
      const answer = answerOf('get', response);
      if (answer?.is === 'done' || answer?.is === 'absent') {
        history.calls.push({ kind: 'get', name, began, ended: performance.now(), answer });
        break;
      }
      if (began > until)
        throw new Error(`${name} cannot be read at ${door.address}: ${JSON.stringify(response)}`);
      await sleep(50);
    }
  }
}

function pick<T>(random: Random, all: readonly T[]): T {
  return all[Math.floor(random() * all.length)] as T;
}
