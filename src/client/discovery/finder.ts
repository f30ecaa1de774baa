import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_PORT } from '../../protocol/addresses/address.ts';
import { MAX_TIMER_MS } from '../../protocol/formats/duration.ts';
import { ANY_BROKER, openQuestion, queryProblem, type Question } from '../../protocol/discovery/datagrams.ts';
import { nameProblem } from '../../protocol/registry/names.ts';
import { ambiguous, noneAnswered, unreachable } from './finder-errors.ts';
import { interfaceNames, listInterfaces } from '../../runtime/network/interfaces.ts';
import { chooseInterfaces } from './routes.ts';
import { type Attempt, openSearch, type RespondingBroker } from './search.ts';
import { identifyBroker } from '../trust/identify.ts';
import {
  areRivals,
  byRank,
  type FoundBroker,
  foundBroker,
  type Identify,
  identifyBrokers,
} from './responders.ts';

export type { Attempt, RespondingBroker } from './search.ts';
export type { FoundBroker, Identify } from './responders.ts';

export interface DiscoverOptions {
  /** Name of an entry that the broker holds. Every broker answers to `''`. */
  readonly name: string;
  /** Uses the keyed form with this key, and accepts no other answer; default: the open form. */
  readonly key?: string | undefined;
  /** File that the key came from, which an error that advises another search names; default: none. */
  readonly keyFile?: string | undefined;
  /** Time limit of the first answer, in milliseconds; `undefined`: until aborted. */
  readonly timeoutMs: number | undefined;
  /**
   * Finds out which broker a responder belongs to. Called only in the open form, when several addresses
   * answered. Default: {@link identifyBroker}, by the certificate and by what the broker says of itself.
   */
  readonly identify?: Identify | undefined;
  /** UDP port to ask; default 20443. */
  readonly port?: number | undefined;
  /** Addresses to ask besides the local network, unicast or directed: HOST or HOST:PORT. */
  readonly targets?: readonly string[] | undefined;
  /** Names of the only interfaces to use (`lo`: loopback, on any system); absent or empty: every one that is up. */
  readonly interfaces?: readonly string[] | undefined;
  /**
   * Whether the interfaces were there at an earlier search. Then one that is gone is waited for, as it may
   * come back; default false.
   */
  readonly isRepeated?: boolean | undefined;
  /** Accepts several brokers as an answer; default false. */
  readonly all?: boolean | undefined;
  /**
   * Accepts the one broker that answers at all, when no broker that answers holds the name; default false.
   */
  readonly orAny?: boolean | undefined;
  /**
   * How long to listen after the first answer, in milliseconds; default 150, with `all` 500. When the first
   * answer was slow, it is twice the time that this took, at most a second.
   */
  readonly gatherMs?: number | undefined;
  /** The caller has no option `--bpbroker`, which errors otherwise advise; default false. */
  readonly isOnlySearch?: boolean | undefined;
  /**
   * Called with each responder as it comes: holders of the name and (`orAny`) others. `round` is how often
   * was asked by then.
   */
  readonly onReply?: ((responder: RespondingBroker, isHolder: boolean, round: number) => void) | undefined;
  /**
   * Asks for any broker together with each question for the name. Called with each one that answers to that,
   * which is no result of the search.
   */
  readonly onAnyBroker?: ((responder: RespondingBroker, round: number) => void) | undefined;
  /** Called at the end with the outcome of the queries. */
  readonly onAttempts?: ((attempts: readonly Attempt[]) => void) | undefined;
  /** Ends the search; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/** Time limit of a search without a `timeoutMs` of its own, in milliseconds. */
export const DISCOVER_TIMEOUT_MS = 3000;

/** Pause before the next search when brokers answered but none could be reached. */
const RETRY_MS = 500;

/** How many brokers that are only noted begin the schedule of the questions anew, within {@link BURST_MS}. */
const MAX_NEWCOMERS = 8;
const BURST_MS = 1000;
/** How long only the name is asked for then, in milliseconds. */
const QUIET_MS = 600;
/** The least time between two rounds that are counted, in milliseconds. */
const ROUND_MS = 75;

/** When to ask, in milliseconds from the start. After the last of these, about once a second. */
const ASK_AT: readonly number[] = [0, 100, 250, 500, 1000];

/**
 * Finds the broker that holds a name, on the links of this host and at the targets given.
 *
 * @returns One broker, or several that share one registry; with `all`, every one that answered.
 * @throws BrokerError `unreachable` when none answered, `ambiguous_broker` when several did.
 * @throws BrokerError `usage` for an unknown interface (unless `isRepeated`) or a malformed target.
 * @throws BrokerError `invalid_request` for an invalid name.
 * @throws the reason of an aborted signal.
 */
export async function discover(options: DiscoverOptions): Promise<FoundBroker[]> {
  const { timeoutMs = Infinity, identify = identifyBroker, signal } = options;
  signal?.throwIfAborted();
  checkInterfaces(options);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const { responders, isHolder } = await gather(options, deadline);
    const [first, ...others] = responders;
    if (first?.reply.form === 'open' && others.length === 0) return [foundBroker([first])];
    const { brokers, failures } = await identifyBrokers(responders, identify, signal);
    if (areRivals(brokers) && options.all !== true) throw ambiguous(brokers, options, isHolder);
    if (brokers.length > 0) return [...brokers];
    // The broker may be about to open its API. A client that waits for it should not see a failure.
    if (performance.now() + RETRY_MS > deadline) throw unreachable(responders, failures);
    await sleep(RETRY_MS, undefined, { signal }).catch(() => signal?.throwIfAborted());
  }
}

function checkInterfaces({ interfaces = [], isRepeated = false }: DiscoverOptions): void {
  if (interfaces.length > 0 && !isRepeated) chooseInterfaces(listInterfaces(), interfaces, interfaceNames());
}

interface Gathered {
  /** The best first; at least one. */
  readonly responders: readonly RespondingBroker[];
  /** Whether the responders hold the name; else they only answered at all. */
  readonly isHolder: boolean;
}

/** Asks until the first answer, and then a little longer, so that others can answer too. */
async function gather(options: DiscoverOptions, deadline: number): Promise<Gathered> {
  const { gatherMs = options.all === true ? 500 : 150, signal } = options;
  const names = namesToAsk(options);
  const ask = await questionsOf(options);
  const isNoting = options.onAnyBroker !== undefined && !names.includes(ANY_BROKER);
  const answers = names.map((): RespondingBroker[] => []);
  const began = performance.now();
  let askedAt = began;
  let wasAsked = false;
  let rounds = 0;
  let step = 0;
  let raisedAt = -Infinity;
  let newcomers = 0;
  let newcomerAt = -Infinity;
  let quietUntil = 0;
  const search = openSearch({
    questions: [
      ...names.map(ask),
      ...(isNoting ? [unless(() => performance.now() < quietUntil, ask(ANY_BROKER))] : []),
    ],
    port: options.port ?? DEFAULT_PORT,
    targets: options.targets,
    interfaces: options.interfaces,
    onReply(responder, question) {
      if (question >= names.length) {
        options.onAnyBroker?.(responder, rounds);
        // Its answer about the name may be lost. So it is soon asked for that again, and for nothing else: it
        // limits its replies to one host.
        const now = performance.now();
        if (now - newcomerAt > BURST_MS) newcomers = 0;
        newcomerAt = now;
        if (newcomers++ < MAX_NEWCOMERS) {
          quietUntil = now + QUIET_MS;
          step = 0;
          clock.skip();
        }
        return;
      }
      // The first holder starts a new window: an answer without the name says nothing about how soon holders
      // answer.
      if (answers.slice(0, question + 1).every(({ length }) => length === 0)) {
        clock.endIn(windowAfter(performance.now() - askedAt, gatherMs));
      }
      answers[question]?.push(responder);
      options.onReply?.(responder, names[question] !== ANY_BROKER, rounds);
    },
  });
  const clock = createClock(deadline, signal);
  try {
    await askUntilEnd(clock, () => {
      const now = performance.now();
      // The first queries follow closely, and an answer may belong to any of them. Assume the slowest case.
      if (now - askedAt > CLOSE_MS) askedAt = now;
      void search.ask().then(() => (wasAsked = true));
      // Newcomers may come at once, and each has a query sent. A broker answers only one of them.
      if (now - raisedAt >= ROUND_MS) [rounds, raisedAt] = [rounds + 1, now];
      return pauseAfter(step++);
    });
    signal?.throwIfAborted();
    const attempts = search.attempts();
    options.onAttempts?.(attempts);
    const answered = answers.findIndex(({ length }) => length > 0);
    if (answered === -1) {
      // When any broker would do, "no broker answered" says more than "no broker holds the name".
      const name = options.orAny === true ? ANY_BROKER : options.name;
      const rejected = options.key === undefined ? undefined : search.rejected();
      throw noneAnswered({ ...options, name, rejected, wasAsked }, performance.now() - began, attempts);
    }
    const isHolder = names[answered] !== ANY_BROKER;
    return { responders: (answers[answered] ?? []).toSorted(byRank), isHolder };
  } finally {
    clock.stop();
    await search.close();
  }
}

/** The same question, which is not asked while `isQuiet` returns true. */
function unless(isQuiet: () => boolean, { read, queries }: Question): Question {
  return { read, queries: (round) => (isQuiet() ? [] : queries(round)) };
}

/** How to ask for a name. The code of the keyed form is loaded only when there is a key. */
async function questionsOf({ key }: DiscoverOptions): Promise<(name: string) => Question> {
  if (key === undefined) return openQuestion;
  const { keyedQuestion } = await import('../../protocol/discovery/keyed-forms.ts');
  return (name) => keyedQuestion(name, key);
}

/**
 * The names to ask for, the wanted one first. A name that a query cannot carry is replaced by "any broker",
 * if `orAny` allows that.
 */
function namesToAsk({ name, key, orAny = false }: DiscoverOptions): string[] {
  const problem = key === undefined ? queryProblem : nameProblem;
  if (name === ANY_BROKER || (orAny && problem(name) !== undefined)) return [ANY_BROKER];
  return orAny ? [name, ANY_BROKER] : [name];
}

/**
 * Asks at least once, however little time there is.
 * @param ask returns how long to wait before the next round. It must not wait itself: a host name that takes
 * long to resolve must not delay the next round.
 */
async function askUntilEnd(clock: Clock, ask: () => number): Promise<void> {
  do await clock.pause(ask());
  while (!clock.ended());
  // On a busy host the clock may be late, and answers may be unread. This pause lets them be read.
  await new Promise((resolve) => setTimeout(resolve, LAST_LOOK_MS));
}

/** A turn of the event loop is not enough: Bun may go through one without reading its sockets. */
const LAST_LOOK_MS = 5;

/** Queries at most this far apart count as one question. */
const CLOSE_MS = 600;
/** Longest window after a slow first answer. */
const LONGEST_WINDOW_MS = 1000;

/** How long to wait for others after the first answer: after a slow one, theirs may be slow as well. */
function windowAfter(firstMs: number, gatherMs: number): number {
  return Math.max(gatherMs, Math.min(2 * firstMs, LONGEST_WINDOW_MS));
}

/**
 * Milliseconds to the next round: short at first, then a second, after 10 rounds two seconds, after 40 four.
 * Each varies by up to a quarter by chance, so that hosts that were switched on together do not keep asking
 * together.
 */
export function pauseAfter(round: number, random: () => number = Math.random): number {
  const at = ASK_AT[round];
  const next = ASK_AT[round + 1];
  const later = round < 10 ? 1000 : round < 40 ? 2000 : 4000;
  return (at === undefined || next === undefined ? later : next - at) * (0.75 + random() / 2);
}

interface Clock {
  ended(): boolean;
  /** Moves the end to `ms` from now. */
  endIn(ms: number): void;
  /** Waits, at most until the end. */
  pause(ms: number): Promise<void>;
  /** Ends the pause. */
  skip(): void;
  stop(): void;
}

/** A time limit that can be moved during the wait. It ends at once when the signal is aborted. */
function createClock(end: number, signal: AbortSignal | undefined): Clock {
  let until = end;
  let timer: NodeJS.Timeout | undefined;
  let wake: (() => void) | undefined;
  const set = (at: number): void => {
    clearTimeout(timer);
    // One more, because timers may fire a fraction of a millisecond early.
    const ms = Math.ceil(Math.min(at, until) - performance.now()) + 1;
    timer = setTimeout(() => wake?.(), Math.min(Math.max(0, ms), MAX_TIMER_MS));
  };
  let next = end;
  const abort = (): void => wake?.();
  signal?.addEventListener('abort', abort, { once: true });
  return {
    ended: () => performance.now() >= until || signal?.aborted === true,
    endIn(ms) {
      until = performance.now() + ms;
      set(next);
    },
    pause(ms) {
      next = performance.now() + ms;
      return new Promise((resolve) => {
        wake = resolve;
        set(next);
      });
    },
    skip: () => wake?.(),
    stop() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    },
  };
}
