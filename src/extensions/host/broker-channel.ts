import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/formats/json.ts';
import type { FromHost, Question, ToHost } from '../../protocol/messages/extension-frames.ts';

/** The host's connection to its broker: frames on standard input and output. */
export interface BrokerChannel {
  /** Sends a frame; resolves when there is room for another. */
  send(frame: FromHost): Promise<void>;
  /** Marks the place in the extension's own output up to which a call has printed. */
  printed(call: number): void;
  /**
   * Asks the broker something for a call.
   * @throws BrokerError of the broker; the reason of an aborted `signal`, which ends the wait there too.
   */
  ask(call: number, question: Question, signal?: AbortSignal): Promise<JsonObject>;
  /** Whether this is the error of an `ask` whose call had ended before it. */
  isLate(error: unknown): boolean;
}

export interface BrokerChannelOptions {
  /** The beginning of each frame. */
  readonly mark: string;
  write(text: string, done: () => void): void;
  /** Writes to where the extension's own output goes. */
  print(text: string): void;
  /** Whether a call is in progress. */
  isRunning(call: number): boolean;
  /** Called with frames that are not answers. */
  onFrame(frame: Exclude<ToHost, { type: 'answer' }>): void;
}

export function createBrokerChannel({
  mark,
  write,
  print,
  isRunning,
  onFrame,
}: BrokerChannelOptions): BrokerChannel & { read(text: string): void } {
  const asked = new Map<number, (answer: ToHost & { type: 'answer' }) => void>();
  const late = new WeakSet<Error>();
  let asks = 0;
  let rest = '';

  const lineOf = (frame: FromHost): string => `${mark}${JSON.stringify(frame)}\n`;

  const send = (frame: FromHost): Promise<void> =>
    new Promise((resolve) => {
      write(lineOf(frame), resolve);
    });

  return {
    send,
    // A line without an end is ended, so that it is not continued by the next call.
    printed: (id) => print(`\n${lineOf({ type: 'printed', id })}`),
    async ask(call, question, signal) {
      signal?.throwIfAborted();
      const id = ++asks;
      const answer = await new Promise<ToHost & { type: 'answer' }>((resolve, reject) => {
        const cancel = (): void => {
          asked.delete(id);
          void send({ type: 'cancel', id });
          // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- the caller's own reason
          reject(signal?.reason);
        };
        asked.set(id, (frame) => {
          signal?.removeEventListener('abort', cancel);
          resolve(frame);
        });
        signal?.addEventListener('abort', cancel, { once: true });
        void send({ type: 'ask', id, call, question });
      });
      if ('envelope' in answer) return answer.envelope;
      const error = new BrokerError(answer.error.code, answer.error.message);
      if (!isRunning(call)) late.add(error);
      throw error;
    },
    isLate: (error) => error instanceof Error && late.has(error),
    read(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const frame = parseJson(line) as ToHost;
        if (frame.type !== 'answer') {
          onFrame(frame);
          continue;
        }
        asked.get(frame.id)?.(frame);
        asked.delete(frame.id);
      }
    },
  };
}
