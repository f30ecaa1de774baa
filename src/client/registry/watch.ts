import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { parseJson } from '../../protocol/formats/json.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { MAX_ANSWER_BYTES, tooLong } from '../../runtime/http/bounded-text.ts';
import type { ClientChange, ClientList } from './answers.ts';
import type { Reconnect } from '../connection/reconnect.ts';
import { backoff, type Deadline, isTransient } from '../connection/retry.ts';
import type { Rpc } from '../connection/rpc.ts';
import { heard } from '../connection/silence.ts';
import { withTimeout } from '../connection/time-limit.ts';
import { untilAborted } from '../../protocol/until-aborted.ts';

/** Longer than two of the broker's heartbeats: a stream that is silent for so long is dead. */
const SILENCE_MS = 40_000;

/** A stream that has lasted for so long, in milliseconds, is no failed attempt to open one. */
const STEADY_MS = 5000;

/** The data of an event of the stream: a change as the API sends it, or a note. */
type StreamEvent =
  | {
      readonly type: 'put';
      readonly name: string;
      readonly revision: number;
      readonly data: string | JsonObject;
      readonly last_write_ts: number;
      readonly last_write_ip: string;
    }
  | Exclude<ClientChange, { readonly type: 'put' }>
  | { readonly type: 'watching'; readonly revision: number }
  | { readonly type: 'error'; readonly message: string };

/** What a watch reports: one entry, or those under a prefix. */
export interface WatchScope {
  /** Name of the one entry to watch. Not together with `prefix`. */
  readonly name?: string;
  /** Watches all entries whose names start with this; default: every entry. */
  readonly prefix?: string;
}

/**
 * The first `count` changes of a watch. Entries of `initial` count, a `reset` does not.
 * @throws BrokerError `usage` when `count` is not a whole number above 0.
 */
export async function* firstChanges(
  changes: AsyncIterable<ClientChange>,
  count: number,
): AsyncGenerator<ClientChange> {
  if (!Number.isSafeInteger(count) || count < 1)
    throw new BrokerError('usage', `watch: the option 'count' is ${count}; expected a whole number above 0`);
  let left = count;
  for await (const change of changes) {
    yield change;
    if (change.type !== 'reset') left--;
    if (left === 0) return;
  }
}

/** How a watch begins, and what ends it. */
interface WatchOptions {
  readonly after?: number | undefined;
  readonly initial?: boolean | undefined;
  readonly deadline: Deadline;
  readonly signal?: AbortSignal | undefined;
  /** Looks for a broker that was lost. */
  readonly reconnect: Reconnect;
}

/**
 * Every change under `scope`, in order, each once. A broken connection is made again, and goes on after the
 * last change that was reported. With `initial`, the existing entries come first, in the order of their last
 * writes. A reader that has seen some of them can go on after the revision of the last one, as with changes.
 * @param listNow reads the present entries under `scope`, for after a reset.
 * @throws BrokerError `usage` when the client has been closed. An aborted signal ends it.
 */
export async function* watchChanges(
  rpc: Rpc,
  scope: WatchScope,
  options: WatchOptions,
  listNow: () => Promise<ClientList>,
): AsyncGenerator<ClientChange> {
  const ending = withTimeout(Infinity, options.signal, rpc.closed);
  try {
    yield* changesUntil(ending.signal, rpc, scope, options, listNow);
    if (!options.signal?.aborted) rpc.closed.throwIfAborted();
  } finally {
    ending.release();
  }
}

/** The same, until `signal` is aborted: then it ends. */
async function* changesUntil(
  signal: AbortSignal,
  rpc: Rpc,
  scope: WatchScope,
  options: Omit<WatchOptions, 'signal'>,
  listNow: () => Promise<ClientList>,
): AsyncGenerator<ClientChange> {
  let revision = options.after;
  let wasOpen = false;
  const retry = backoff();
  for (;;) {
    let lost: unknown;
    let openSince = Infinity;
    try {
      if (options.initial && revision === undefined) {
        const now = await untilAborted(listNow(), signal);
        yield* putsOf(now);
        revision = now.revision;
      }
      for await (const message of events(rpc, scope, revision, signal)) {
        openSince = Math.min(openSince, performance.now());
        options.reconnect.reached();
        wasOpen = true;
        const event = eventIn(message);
        if (event === undefined) continue;
        // A broker that cannot open the watch now says so after `watching`. That is no reason to ask it soon.
        if (event.type === 'error') throw new BrokerError('unavailable', messageOf(event.message));
        if (event.type !== 'watching') retry.reset();
        if (event.type !== 'reset') {
          revision = event.revision;
          if (event.type !== 'watching') yield changeOf(event);
          continue;
        }
        yield event;
        // The revision stays old until all entries have been read, so that a broken watch gets a reset again.
        const now = await untilAborted(listNow(), signal);
        yield* putsOf(now);
        ({ revision } = now);
        break;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isTransient(error) || options.deadline.left() === 0) throw error;
      // A first watch is refused when there is no room. One that was open may come back before its old place
      // is free.
      if (!wasOpen && error instanceof BrokerError && error.code === 'too_many_requests') throw error;
      lost = error;
    }
    if (performance.now() - openSince > STEADY_MS) retry.reset();
    // An aborted pause ends the watch in the same way as an aborted connection.
    await retry.pause(options.deadline, signal).catch(() => undefined);
    try {
      if (!signal.aborted && lost !== undefined) await options.reconnect(lost, options.deadline, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    if (signal.aborted) return;
  }
}

const known: ReadonlySet<string> = new Set(['put', 'delete', 'expire', 'reset', 'watching', 'error']);

/**
 * What an event of the stream says. The data of older brokers' `error` has no type, so the event's name counts.
 * @returns `undefined` for an event that this client does not know: a newer broker may have more.
 */
function eventIn({ event, data }: EventSourceMessage): StreamEvent | undefined {
  const said = parseJson(data) as StreamEvent;
  const type = event ?? said.type;
  return known.has(type) ? ({ ...said, type } as StreamEvent) : undefined;
}

function changeOf(event: Exclude<StreamEvent, { type: 'error' | 'watching' | 'reset' }>): ClientChange {
  if (event.type !== 'put') return event;
  const { type, name, revision, data, last_write_ts: lastWriteTs, last_write_ip: lastWriteIp } = event;
  return { type, name, revision, data, lastWriteTs, lastWriteIp };
}

/**
 * The entries of a list as changes. An entry that was written during the reading is left to the watch that
 * goes on from there.
 */
function putsOf({ entries, revision: until }: ClientList): ClientChange[] {
  return entries
    .filter(({ revision }) => revision <= until)
    .toSorted((a, b) => a.revision - b.revision)
    .map(({ name, revision, data, lastWriteTs, lastWriteIp }) => ({
      type: 'put',
      name,
      revision,
      data,
      lastWriteTs,
      lastWriteIp,
    }));
}

/** The events of one connection, until it ends or falls silent. */
async function* events(
  rpc: Rpc,
  scope: WatchScope,
  after: number | undefined,
  signal: AbortSignal,
): AsyncGenerator<EventSourceMessage> {
  const silence = new AbortController();
  const arrived: EventSourceMessage[] = [];
  const parser = createParser({
    onEvent: (event) => arrived.push(event),
    maxBufferSize: MAX_ANSWER_BYTES,
    onError(error) {
      if (error.type === 'max-buffer-size-exceeded') throw tooLong(MAX_ANSWER_BYTES);
    },
  });
  const decoder = new TextDecoder();
  const { signal: silent } = silence;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const options = { signal: AbortSignal.any([signal, silent]) };
    const response = await rpc.open('services', 'Watch', { ...scope, after }, options);
    yield* response.stream();
  }
  try {
    for await (const chunk of heard(chunks(), SILENCE_MS, () => silence.abort())) {
      parser.feed(decoder.decode(chunk, { stream: true }));
      yield* arrived.splice(0);
    }
  } catch (error) {
    if (!silent.aborted) throw error;
    throw new BrokerError('unreachable', 'The watch fell silent', { cause: error });
  } finally {
    silence.abort();
  }
}
