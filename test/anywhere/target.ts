import assert from 'node:assert/strict';
import { EventSourceParserStream } from 'eventsource-parser/stream';

/** The access key of the module `services` of every server. */
export const KEY = 'only-for-tests';

/** One place where the app is served, as the suite sees it. */
export interface Target {
  /** Sends a request. `path` begins with `/` and is the app's own: where the app is mounted is the target's matter. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** The client address that the app receives. */
  readonly clientAddress: string;
  readonly can: Abilities;
}

/** What a platform lets the app do. The suite says of each what holds without it. */
export interface Abilities {
  /** Sends an answer in parts, as they are made; else `Watch` is refused. */
  readonly stream: boolean;
  /** Serves requests while others wait; else nothing can release one that waits. */
  readonly concurrent: boolean;
}

/** An answer in the envelope. */
export interface Answer {
  readonly status: number;
  readonly success?: boolean;
  readonly message?: string;
  readonly code?: string;
  readonly revision?: number;
  readonly data?: Record<string, unknown>;
}

/** Calls a method of `services` with its key. */
export async function call(target: Target, method: string, params: object): Promise<Answer> {
  return answerOf(await post(target, `/services/${method}`, params));
}

/** Sends JSON, with the key of `services`, or another, or none (`''`). */
export function post(target: Target, path: string, params: object, key: string = KEY): Promise<Response> {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (key !== '') headers['authorization'] = `Bearer ${key}`;
  return target.fetch(path, { method: 'POST', headers, body: JSON.stringify(params) });
}

export async function answerOf(response: Response): Promise<Answer> {
  assert.match(response.headers.get('content-type') ?? '', /^application\/json\b/);
  return { status: response.status, ...((await response.json()) as object) };
}

/** An event of a watch. */
export interface Event {
  readonly type: string;
  readonly id: string;
  readonly name: string;
}

/** An open watch. */
export interface Watch {
  readonly response: Response;
  /** The next so many events; fails when they do not come within 10 s. */
  take(count: number): Promise<Event[]>;
  /** Goes away without a word. */
  leave(): Promise<void>;
}

export async function watch(
  target: Target,
  query: string,
  headers: Record<string, string> = {},
): Promise<Watch> {
  const going = new AbortController();
  const response = await target.fetch(`/services/Watch?${query}`, {
    headers: { authorization: `Bearer ${KEY}`, ...headers },
    signal: going.signal,
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  assert.ok(response.body);
  const events = response.body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  async function next(): Promise<Event> {
    const { done, value } = await within10s(events.read(), 'an event');
    if (done) throw new Error('The watch has ended');
    const { name = '' } = JSON.parse(value.data) as { name?: string };
    return { type: value.event ?? '', id: value.id ?? '', name };
  }
  return {
    response,
    async take(count) {
      const taken: Event[] = [];
      while (taken.length < count) taken.push(await next());
      return taken;
    },
    async leave() {
      going.abort();
      await events.cancel().catch(() => undefined);
    },
  };
}

async function within10s<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited 10 s in vain for ${what}`)), 10_000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
