import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { BrokerError } from '../protocol/errors.ts';
import type { ClientChange, ClientEntry } from './answers.ts';
import type { Regain } from './regain.ts';
import { backoff, type Deadline, isPassing } from './retry.ts';
import type { Rpc } from './rpc.ts';

/** Longer than two of the broker's heartbeats: a stream that is silent for so long has died. */
const SILENCE_MS = 40_000;

/** Events of the stream that are no changes. */
type StreamNote =
  | { readonly type: 'watching'; readonly revision: number }
  | { readonly type: 'error'; readonly message: string };

export interface WatchScope {
  readonly name?: string;
  readonly prefix?: string;
}

/**
 * Every change under `scope`, in order, each once. A connection that breaks is made again, and goes on after the last
 * change that was given.
 * @param listNow reads the entries under `scope` as they stand, for after a reset.
 */
export async function* watchChanges(
  rpc: Rpc,
  scope: WatchScope,
  options: {
    readonly after?: number | undefined;
    readonly deadline: Deadline;
    readonly signal?: AbortSignal | undefined;
    /** Looks for a broker that was lost. */
    readonly regain: Regain;
  },
  listNow: () => Promise<{ entries: readonly ClientEntry[]; revision: number }>,
): AsyncGenerator<ClientChange> {
  let revision = options.after;
  let stood = false;
  const retry = backoff();
  for (;;) {
    let lost: unknown;
    try {
      for await (const message of events(rpc, scope, revision, options.signal)) {
        retry.reset();
        stood = true;
        const change = JSON.parse(message.data) as ClientChange | StreamNote;
        if (change.type === 'error') throw new BrokerError('unavailable', change.message);
        if (change.type !== 'reset') {
          revision = change.revision;
          if (change.type !== 'watching') yield change;
          continue;
        }
        yield change;
        // Until they have all been read, the broker is to be asked for a reset again.
        const now = await listNow();
        for (const entry of now.entries) yield putOf(entry);
        // What changed while the entries were read is among them already.
        revision = Math.max(change.revision, now.revision);
        break;
      }
    } catch (error) {
      if (options.signal?.aborted) return;
      if (!isPassing(error) || options.deadline.left() === 0) throw error;
      // A first watch for which there is no room is told so; one that stood comes back before its old place is free.
      if (!stood && error instanceof BrokerError && error.code === 'too_many_requests') throw error;
      lost = error;
    }
    // An aborted pause ends the watch as an aborted connection does.
    await retry.pause(options.deadline, options.signal).catch(() => undefined);
    try {
      if (!options.signal?.aborted && lost !== undefined)
        await options.regain(lost, options.deadline, options.signal);
    } catch (error) {
      if (!options.signal?.aborted) throw error;
    }
    if (options.signal?.aborted) return;
  }
}

function putOf(entry: ClientEntry): ClientChange {
  const { name, revision, data, lastWriteTs: last_write_ts, lastWriteIp: last_write_ip } = entry;
  return { type: 'put', name, revision, data, last_write_ts, last_write_ip };
}

/** The events of one connection, until it ends or falls silent. */
async function* events(
  rpc: Rpc,
  scope: WatchScope,
  after: number | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<EventSourceMessage> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const arrived: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => arrived.push(event) });
  const decoder = new TextDecoder();
  try {
    const response = await rpc.open(
      'services',
      'Watch',
      { ...scope, after },
      { signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal },
    );
    for await (const chunk of response.stream()) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      parser.feed(decoder.decode(chunk, { stream: true }));
      yield* arrived.splice(0);
    }
  } catch (error) {
    if (!silence.signal.aborted) throw error;
    throw new BrokerError('unreachable', 'The watch fell silent', { cause: error });
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}
