import type { Writable } from 'node:stream';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { FrameError, Question } from '../../protocol/messages/extension-frames.ts';
import type { Reply } from '../../modules/module.ts';
import { textOf } from '../../modules/services/call-services.ts';

/** What the calls of a host ask the broker, and the answers to it. */
export interface Asks {
  /**
   * Answers a question with `answer`, once the host has read what was sent before.
   * @param id the host's own.
   * @param mayWait whether its answer may depend on a later question, such as a deletion or the release of a
   * lock.
   */
  take(id: number, answer: Answerer, mayWait: boolean): void;
  /** The host no longer waits for the answer. */
  cancel(id: number): void;
  /** Ends what still waits, with this reason: the call is over. What has been done is answered all the same. */
  endAll(reason: BrokerError): void;
}

/** The JSON of an envelope, which is made when it is first read. */
export type Answer = Pick<Reply, 'body'>;

/**
 * Answers one question. `signal` is aborted when nobody waits for it any more.
 * @throws BrokerError for the call to handle.
 */
export type Answerer = (signal: AbortSignal) => Promise<Answer>;

/** What answers a question of a call: see {@link Answerer}. */
export type Ask = (question: Question, signal: AbortSignal) => Promise<Answer>;

export interface AsksOptions {
  /** The standard input of the host. */
  readonly stdin: Writable;
  /** Called when more than {@link MAX_ASKS} have no answer that the host has read. */
  onTooMany(): void;
}

/** The most questions of one host at a time. */
export const MAX_ASKS = 10_000;
/**
 * The most questions of a call that begin before the host has read their answers, and the most of all that
 * earlier calls have left. What an answer is made of may be long too, such as an entry that was replaced since.
 */
export const MAX_UNREAD = 64;

const cancelled = new Error('The extension no longer waits for it');

interface Asked {
  readonly id: number;
  readonly answer: Answerer;
  readonly mayWait: boolean;
  readonly controller: AbortController;
  /** Where its turn comes; it changes with the end of its call. */
  queue: Queue;
}

interface Queue {
  /** The questions that have not begun. */
  readonly waiting: Asked[];
  /** How many have begun whose answers the host has not read, without those that may wait. */
  unread: number;
}

/**
 * Answers may be long, and questions are short: a host that asks and does not read must not fill the broker's
 * memory. So an answer is made only once the one before it has been read. Questions of a call begin in their
 * order.
 */
export function createAsks({ stdin, onTooMany }: AsksOptions): Asks {
  const asked = new Map<number, Asked>();
  // What calls have left does not hold up the questions of the next one.
  const own: Queue = { waiting: [], unread: 0 };
  const left: Queue = { waiting: [], unread: 0 };
  const ready: (() => Promise<void>)[] = [];
  let isSending = false;

  const send = async (id: number, answer: string): Promise<void> => {
    const line = `{"type":"answer","id":${JSON.stringify(id)},${answer}}\n`;
    if (!stdin.write(line) && !stdin.destroyed) await room(stdin);
  };

  const sendAll = async (): Promise<void> => {
    if (isSending) return;
    isSending = true;
    for (let next = ready.shift(); next; next = ready.shift()) await next();
    isSending = false;
  };

  const mayBegin = ({ mayWait, queue }: Asked): boolean => mayWait || queue.unread < MAX_UNREAD;

  const beginAll = (): void => {
    for (const { waiting } of [own, left]) {
      for (let [next] = waiting; next && mayBegin(next); [next] = waiting) {
        waiting.shift();
        void answerTo(next);
      }
    }
  };

  const answerTo = async (question: Asked): Promise<void> => {
    const { id, answer, mayWait, controller } = question;
    if (!mayWait) question.queue.unread++;
    const answering = answer(controller.signal);
    await Promise.allSettled([answering]);
    ready.push(async () => {
      asked.delete(id);
      // A host that has ended reads nothing: no answer is made for it, and no further question begins.
      if (stdin.destroyed) return;
      if (controller.signal.reason !== cancelled) await send(id, await outcomeOf(answering));
      if (!mayWait) question.queue.unread--;
      beginAll();
    });
    void sendAll();
  };

  return {
    take(id, answer, mayWait) {
      if (asked.size >= MAX_ASKS) return onTooMany();
      if (asked.has(id)) throw new Error(`it asks twice with the id ${id}`);
      const question = { id, answer, mayWait, controller: new AbortController(), queue: own };
      asked.set(id, question);
      own.waiting.push(question);
      beginAll();
    },
    cancel: (id) => asked.get(id)?.controller.abort(cancelled),
    endAll(reason) {
      for (const question of asked.values()) {
        question.queue = left;
        question.controller.abort(reason);
      }
      left.waiting.push(...own.waiting.splice(0));
      left.unread += own.unread;
      own.unread = 0;
    },
  };
}

async function outcomeOf(answering: Promise<Answer>): Promise<string> {
  try {
    return `"envelope":${await textOf(await answering)}`;
  } catch (error) {
    return failure(error);
  }
}

function failure(error: unknown): string {
  const { code, status, message } =
    error instanceof BrokerError ? error : new BrokerError('extension_failed', messageOf(error));
  return `"error":${JSON.stringify({ code, status, message } satisfies FrameError)}`;
}

function room(stdin: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stdin.off('drain', done);
      stdin.off('close', done);
      resolve();
    };
    stdin.on('drain', done);
    stdin.on('close', done);
  });
}
