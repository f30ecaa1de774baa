import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import { type Attempt, openSearch, type RespondingBroker } from '../../../client/discovery/search.ts';
import { byRank } from '../../../client/discovery/responders.ts';
import { formatAddress, type HostPort } from '../../../protocol/addresses/address.ts';
import type { Json, JsonObject } from '../../../protocol/formats/data.ts';
import {
  ANY_BROKER,
  openQuestion,
  queryProblem,
  type Question,
} from '../../../protocol/discovery/datagrams.ts';
import { nameProblem } from '../../../protocol/registry/names.ts';
import { reasonWithCode } from '../../../runtime/network/connection-errors.ts';
import { openUdp } from '../../../runtime/network/udp.ts';
import { resolveWithin } from '../../../protocol/timeout.ts';

/** What to ask for: the name, if it can be asked for, and any broker. */
export interface Questions {
  readonly all: readonly Question[];
  /** Whether the first question is for the name. */
  readonly hasName: boolean;
  /** Why discovery cannot find the name. */
  readonly problem: string | undefined;
}

export async function questionsFor(name: string | undefined, key: string | undefined): Promise<Questions> {
  const problem = name === undefined ? undefined : (key === undefined ? queryProblem : nameProblem)(name);
  const hasName = name !== undefined && problem === undefined;
  const names = hasName ? [name, ANY_BROKER] : [ANY_BROKER];
  if (key === undefined) return { all: names.map(openQuestion), hasName, problem };
  const { keyedQuestion } = await import('../../../protocol/discovery/keyed-forms.ts');
  return { all: names.map((one) => keyedQuestion(one, key)), hasName, problem };
}

/** The answers of the local network. */
export interface Answers {
  /** Brokers that hold the name, the best first. */
  readonly holders: readonly RespondingBroker[];
  /** Brokers that answer at all, the best first. */
  readonly any: readonly RespondingBroker[];
  readonly attempts: readonly Attempt[];
  /** The times of the queries, in milliseconds from the start. */
  readonly askedAt: readonly number[];
  /** Datagrams that were not answers, or not made with the key. */
  readonly rejected: number;
}

/** When to ask, in milliseconds from the start; each second after the last of these. */
const ASK_AT: readonly number[] = [0, 100, 250, 500, 1000];
/**
 * How long to listen after the first answer, in milliseconds: for holders of the name, and for other brokers.
 */
const GATHER_MS = 700;

/** Asks all questions everywhere, as a client command does, until a while after the first answers. */
export async function askNetwork(options: {
  readonly questions: Questions;
  readonly port: number;
  readonly targets: readonly string[];
  readonly interfaces: readonly string[];
  readonly ms: number;
}): Promise<Answers> {
  const { questions, ms } = options;
  const answers = questions.all.map((): RespondingBroker[] => []);
  const began = performance.now();
  let end = began + ms;
  let wake: (() => void) | undefined;
  const search = openSearch({
    questions: questions.all,
    port: options.port,
    targets: options.targets,
    interfaces: options.interfaces,
    onReply(responder, question) {
      const before = answers.slice(0, question + 1).every(({ length }) => length === 0);
      answers[question]?.push(responder);
      if (!before) return;
      end = Math.min(began + ms, performance.now() + GATHER_MS);
      wake?.();
    },
  });
  const askedAt: number[] = [];
  try {
    for (let round = 0; performance.now() < end; round++) {
      askedAt.push(Math.round(performance.now() - began));
      void search.ask();
      const next = began + (ASK_AT[round + 1] ?? 1000 * (round + 2 - (ASK_AT.length - 1)));
      await pauseUntil(
        next,
        () => end,
        (set) => (wake = set),
      );
    }
    const sorted = answers.map((list) => list.toSorted(byRank));
    return {
      holders: questions.hasName ? (sorted[0] ?? []) : [],
      any: sorted.at(-1) ?? [],
      attempts: search.attempts(),
      askedAt,
      rejected: search.rejected(),
    };
  } finally {
    await search.close();
  }
}

/**
 * Waits for a time, or until the end if that is sooner. When it is woken, it looks at the end again, which
 * may have moved.
 */
async function pauseUntil(
  time: number,
  end: () => number,
  onWake: (wake: (() => void) | undefined) => void,
): Promise<void> {
  for (let left = 1; left > 0; left = Math.min(time, end()) - performance.now()) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, Math.min(time, end()) - performance.now()) + 1);
      onWake(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
  onWake(undefined);
}

/** The answers of one address. */
export interface AddressAnswers {
  readonly holds: boolean;
  readonly answers: boolean;
  /** Milliseconds until the first answer. */
  readonly ms?: number;
  /** Why a query could not be sent, or was refused. */
  readonly error?: string;
}

const TRIES = 3;

/**
 * Asks one address several times. It never rejects, and never takes longer than `ms` and a tenth of a second,
 * even when a name server hangs.
 */
export function askAddress(address: HostPort, questions: Questions, ms: number): Promise<AddressAnswers> {
  const late = { holds: false, answers: false, error: 'the host name could not be looked up in time' };
  return resolveWithin(ms + LATE_MS, ask(address, questions, ms), late);
}

/** Added so that a search that only waits for answers ends first. */
const LATE_MS = 100;

async function ask(
  { host, port }: HostPort,
  { all, hasName }: Questions,
  ms: number,
): Promise<AddressAnswers> {
  const began = performance.now();
  const answered = new Set<number>();
  let first: number | undefined;
  let error: string | undefined;
  try {
    const { address } = await lookup(host);
    const isSix = isIPv6(address.replace(/%.*/, ''));
    const askOne = async (question: Question, index: number): Promise<void> => {
      const isDone = (): boolean => answered.has(index);
      const socket = await openUdp({
        family: isSix ? 6 : 4,
        address: isSix ? '::' : '0.0.0.0',
        onMessage(datagram, from) {
          const reply = question.read(datagram);
          if (reply === undefined) return;
          if (reply.form === 'challenge') {
            void socket.send(reply.query, from);
            return;
          }
          first ??= performance.now() - began;
          answered.add(index);
        },
        onError: (failed) => (error = reasonWithCode(failed)),
      });
      const end = performance.now() + ms;
      for (let round = 0; round < TRIES && !isDone(); round++) {
        for (const query of question.queries(round)) {
          const failed = await socket.send(query, { address, port });
          if (failed) error = reasonWithCode(failed);
        }
        const until = performance.now() + (end - performance.now()) / (TRIES - round);
        while (!isDone() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await socket.close();
    };
    await Promise.all(all.map(askOne));
  } catch (failed) {
    error = reasonWithCode(failed);
  }
  const answers = answered.size > 0;
  return {
    holds: hasName && answered.has(0),
    answers,
    ...(first === undefined ? {} : { ms: first }),
    ...(error === undefined || answers ? {} : { error }),
  };
}

/** The queries and answers, for programs. */
export function factsOf({ holders, any, attempts, askedAt, rejected }: Answers, form: string): JsonObject {
  const all = [
    ...holders.map((one) => ({ ...one, holds: true })),
    ...any.map((one) => ({ ...one, holds: false })),
  ];
  return {
    form,
    asked_at_ms: [...askedAt],
    queries: attempts.map(({ interface: on, to, sent, error }): Json => ({
      interface: on ?? null,
      to,
      sent,
      error: error ?? null,
    })),
    answers: all.map(({ address, port, interface: on, at, holds }): Json => ({
      from: formatAddress({ host: address, port }),
      interface: on ?? null,
      at_ms: Math.round(at),
      to: holds ? 'the name' : 'any broker',
    })),
    not_believed: rejected,
  };
}
