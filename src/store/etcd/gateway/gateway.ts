import { BrokerError } from '../../../protocol/errors.ts';
import { createEndpoints } from './endpoints.ts';
import { brokenConnection, type Failure, failureOf, refusalOf } from './failures.ts';
import { jsonLines } from './json-lines.ts';
import type { StreamMessage } from './messages.ts';
import { createSession, type Credentials } from './session.ts';
import { createSemaphore } from './semaphore.ts';
import { type Deadline, pause, withTimeout } from '../promises.ts';

/** etcd's JSON gateway: its API by `fetch` alone, over all members of a cluster. */
export interface Gateway {
  /**
   * Sends a request that may be repeated safely: to one member after another until `deadline`.
   * @throws BrokerError `unavailable` when none answered in time; the error of {@link refusalOf} when it is
   * refused.
   */
  ask<T>(path: string, body: unknown, deadline: Deadline): Promise<T>;
  /**
   * Sends a request once.
   * @throws BrokerError `outcome_unknown` when it may have been done; `unavailable` when it was not; else as
   * {@link Gateway.ask}.
   */
  once<T>(path: string, body: unknown, deadline: Deadline): Promise<T>;
  /** As {@link Gateway.ask}, with several messages in one request; returns the messages of the answer. */
  askMany<T>(path: string, bodies: readonly unknown[], deadline: Deadline): Promise<T[]>;
  /**
   * Sends a request to one member.
   * @throws as {@link Gateway.ask}: `unavailable` when it does not answer.
   */
  askAt<T>(endpoint: string, path: string, body: unknown, deadline: Deadline): Promise<T>;
  /** Opens a stream of messages at one member. It ends with `signal`, and throws when it breaks. */
  open<T>(path: string, body: unknown, signal: AbortSignal): Promise<Stream<T>>;
  /** Notes that a member seems to be of no use now. */
  blame(endpoint: string): void;
}

export interface Stream<T> {
  readonly endpoint: string;
  readonly messages: AsyncIterable<StreamMessage<T>>;
}

/** The used part of `fetch`: answers with a stream as body, and requests that can be aborted. */
export type EtcdFetch = (url: string, init: RequestInit) => Promise<Response>;

export interface GatewayOptions {
  readonly endpoints: readonly string[];
  readonly fetch: EtcdFetch;
  readonly credentials: Credentials | undefined;
}

/** The longest wait for one member while there is time to ask another, in milliseconds. */
const ATTEMPT_MS = 1500;
/**
 * The same in the first round over all members: after a leader has stopped, members that wait for it do not
 * answer either.
 */
const FIRST_MS = 700;
/** The shortest useful attempt, in milliseconds. */
const MIN_ATTEMPT_MS = 50;
/** The longest time until a stream begins, in milliseconds. */
const OPEN_MS = 2000;
/** The pause between two rounds over all members, in milliseconds. */
const ROUND_MS = 100;
/** The most requests at once: each has its own connection. */
const MAX_REQUESTS = 96;

/** A failed attempt, within this file. */
interface Failed {
  readonly failure: Failure;
}

export function createGateway(options: GatewayOptions): Gateway {
  const endpoints = createEndpoints(options.endpoints);
  const semaphore = createSemaphore(MAX_REQUESTS);
  const session = createSession(options.credentials, async ({ username, password }) => {
    const body = JSON.stringify({ name: username, password });
    const deadline = performance.now() + 2 * ATTEMPT_MS;
    const { token } = await until<{ token: string }>(deadline, (endpoint, ms) =>
      send(endpoint, '/v3/auth/authenticate', body, ms, {}),
    );
    return token;
  });

  /**
   * Runs `work` when its turn has come. If no time is left then, it sends nothing, since an aborted request
   * counts against its member.
   */
  function slot<T>(deadline: Deadline, work: () => Promise<T>): Promise<T> {
    return semaphore(() => {
      if (performance.now() < deadline) return work();
      const message = `the request to etcd was not sent in time: ${MAX_REQUESTS} others are in progress`;
      return Promise.reject(new BrokerError('unavailable', message));
    });
  }

  /** Sends one request to one member. */
  async function send<T>(
    endpoint: string,
    path: string,
    text: string,
    ms: number,
    headers: Readonly<Record<string, string>>,
    parse: (text: string) => T = JSON.parse,
  ): Promise<T | Failed> {
    try {
      const { status, ok, answer } = await withTimeout(ms, async (signal) => {
        const response = await options.fetch(endpoint + path, {
          method: 'POST',
          body: text,
          headers: { 'content-type': 'application/json', ...headers },
          signal,
        });
        return { status: response.status, ok: response.ok, answer: await response.text() };
      });
      return ok ? parse(answer) : { failure: failureOf(status, answer) };
    } catch (error) {
      return { failure: brokenConnection(error) };
    }
  }

  /** The same with the session's token; a rejected token is renewed once. */
  async function sendAs<T>(
    endpoint: string,
    path: string,
    text: string,
    ms: number,
    parse?: (text: string) => T,
  ): Promise<T | Failed> {
    for (let attempt = 0; ; attempt++) {
      const headers = await session.headers();
      const answer = await send<T>(endpoint, path, text, ms, headers, parse);
      if (!isFailed(answer) || answer.failure.kind !== 'stale_token') return answer;
      session.forget(headers);
      if (options.credentials === undefined || attempt > 0) {
        return { failure: { ...answer.failure, kind: 'refused' } };
      }
    }
  }

  /** Asks one member after another until one answers, or refuses for good. */
  async function until<T>(
    deadline: Deadline,
    attempt: (endpoint: string, ms: number) => Promise<T | Failed>,
  ): Promise<T> {
    for (let asked = 1; ; asked++) {
      const endpoint = endpoints.pick();
      const longest = asked <= endpoints.count ? FIRST_MS : ATTEMPT_MS;
      const ms = endpoints.count === 1 ? Infinity : longest;
      const answer = await attempt(endpoint, Math.max(1, Math.min(ms, deadline - performance.now())));
      if (!isFailed(answer)) {
        endpoints.praise(endpoint);
        return answer;
      }
      if (answer.failure.kind === 'refused') throw refusalOf(answer.failure);
      endpoints.blame(endpoint);
      if (asked % endpoints.count === 0) await pause(ROUND_MS * (1 + Math.random()));
      // An attempt too short to succeed would hide why those before it failed.
      if (deadline - performance.now() < MIN_ATTEMPT_MS) throw unanswered(endpoint, answer.failure);
    }
  }

  async function once<T>(path: string, body: unknown, deadline: Deadline): Promise<T> {
    return await slot(deadline, async () => {
      const endpoint = endpoints.pick();
      const ms = Math.max(1, Math.min(ATTEMPT_MS, deadline - performance.now()));
      const answer = await sendAs<T>(endpoint, path, JSON.stringify(body), ms);
      if (!isFailed(answer)) {
        endpoints.praise(endpoint);
        return answer;
      }
      const { failure } = answer;
      if (failure.kind === 'refused') throw refusalOf(failure);
      endpoints.blame(endpoint);
      throw failure.kind === 'lost' ? lost(endpoint, failure) : unanswered(endpoint, failure);
    });
  }

  return {
    ask<T>(path: string, body: unknown, deadline: Deadline) {
      const text = JSON.stringify(body);
      return slot(deadline, () => until<T>(deadline, (endpoint, ms) => sendAs<T>(endpoint, path, text, ms)));
    },
    askMany<T>(path: string, bodies: readonly unknown[], deadline: Deadline) {
      const text = bodies.map((body) => JSON.stringify(body)).join('');
      return slot(deadline, () =>
        until<T[]>(deadline, (endpoint, ms) => sendAs<T[]>(endpoint, path, text, ms, parseLines)),
      );
    },
    once,
    async askAt<T>(endpoint: string, path: string, body: unknown, deadline: Deadline) {
      const ms = Math.max(1, deadline - performance.now());
      const answer = await sendAs<T>(endpoint, path, JSON.stringify(body), ms);
      if (!isFailed(answer)) return answer;
      const { failure } = answer;
      throw failure.kind === 'refused' ? refusalOf(failure) : unanswered(endpoint, failure);
    },
    async open<T>(path: string, body: unknown, signal: AbortSignal) {
      const endpoint = endpoints.pick();
      const headers = await session.headers();
      const ending = new AbortController();
      const end = (): void => ending.abort(signal.reason);
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
      const late = setTimeout(() => ending.abort(new Error(`no answer within ${OPEN_MS} ms`)), OPEN_MS);
      try {
        const response = await options.fetch(endpoint + path, {
          method: 'POST',
          body: JSON.stringify(body),
          // The stream ends when its member loses the leader.
          headers: { 'content-type': 'application/json', 'grpc-metadata-hasleader': 'true', ...headers },
          signal: ending.signal,
        });
        if (!response.ok || response.body === null) {
          const failure = failureOf(response.status, await response.text());
          if (failure.kind === 'stale_token') session.forget(headers);
          throw refusalOf(failure);
        }
        return { endpoint, messages: jsonLines<StreamMessage<T>>(response.body, ending.signal) };
      } catch (error) {
        endpoints.blame(endpoint);
        throw error instanceof BrokerError ? error : unanswered(endpoint, brokenConnection(error));
      } finally {
        clearTimeout(late);
      }
    },
    blame: (endpoint) => endpoints.blame(endpoint),
  };
}

function parseLines<T>(text: string): T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

function isFailed(answer: unknown): answer is Failed {
  return typeof answer === 'object' && answer !== null && 'failure' in answer;
}

function unanswered(endpoint: string, { reason, grpc }: Failure): BrokerError {
  return new BrokerError('unavailable', `etcd does not answer (${endpoint}: ${reason})`, { cause: { grpc } });
}

function lost(endpoint: string, { reason, grpc }: Failure): BrokerError {
  return new BrokerError('outcome_unknown', `etcd's answer was lost (${endpoint}: ${reason})`, {
    cause: { grpc },
  });
}
