import type { Call, Reply } from '../modules/module.ts';
import { BrokerError } from '../protocol/errors.ts';
import { comesInParts } from './requests/response.ts';

/** One call of a module that is not built in, after its end. */
export interface PastCall {
  /** Its beginning, ISO 8601. */
  readonly at: string;
  readonly method: string;
  /** IP address of the caller; `''` where the server does not say. */
  readonly source: string;
  /**
   * `ok`, the code of an error, `status 404` for a status of the module's own, or `gone` where the caller did
   * not wait for the end.
   */
  readonly outcome: string;
  readonly seconds: number;
}

/** The last calls of a module. */
export interface CallsOfModule {
  /** The number of calls in progress. */
  readonly running: number;
  /** The latest first, at most {@link KEPT}. */
  readonly calls: readonly PastCall[];
}

/** Remembers the last calls of each module, but nothing of their content. */
export interface ModuleCalls {
  /** Runs a call of a module that the configuration enables, and remembers its outcome. */
  run(module: string, method: string, call: Call, work: () => Promise<Reply> | Reply): Promise<Reply> | Reply;
  of(module: string): CallsOfModule;
}

/** The number of calls that are kept for each module. */
const KEPT = 20;
/** The longest name of a method that is kept, since callers choose it. */
const METHOD_LENGTH = 128;

export function createModuleCalls(): ModuleCalls {
  const known = new Map<string, { running: number; calls: PastCall[] }>();

  function begin(module: string, method: string, call: Call): (outcome: string) => void {
    const record = known.get(module) ?? { running: 0, calls: [] };
    known.set(module, record);
    record.running += 1;
    const at = new Date().toISOString();
    const began = performance.now();
    let isOver = false;
    return (outcome) => {
      if (isOver) return;
      isOver = true;
      record.running -= 1;
      // Rounded to microseconds: the rest is noise of the arithmetic.
      const seconds = Math.round((performance.now() - began) * 1000) / 1e6;
      const past = {
        at,
        method: method.slice(0, METHOD_LENGTH),
        source: call.clientAddress,
        outcome,
        seconds,
      };
      record.calls = [past, ...record.calls.slice(0, KEPT - 1)];
    };
  }

  return {
    run(module, method, call, work) {
      const end = begin(module, method, call);
      const failed = (error: unknown): never => {
        end(outcomeOf(error, call));
        throw error;
      };
      try {
        const reply = work();
        if (reply instanceof Promise) return reply.then((settled) => observed(settled, call, end), failed);
        return observed(reply, call, end);
      } catch (error) {
        return failed(error);
      }
    },
    of: (module) => known.get(module) ?? { running: 0, calls: [] },
  };
}

function outcomeOf(error: unknown, { signal }: Call): string {
  if (error instanceof BrokerError) return error.code;
  return signal.aborted ? 'gone' : 'internal';
}

/** An answer whose end is reported: at once for a whole answer, else after its last part has been read. */
function observed(reply: Reply, call: Call, end: (outcome: string) => void): Reply {
  // A module in your own process may return a value that is no answer; its caller gets an error elsewhere.
  const { status = 200 } = reply ?? {};
  const outcome = status < 400 ? 'ok' : `status ${status}`;
  if (!comesInParts(reply)) {
    end(call.hasCallerGone ? 'gone' : outcome);
    return reply;
  }
  const { body } = reply;
  const parts: AsyncIterable<string | Uint8Array> = {
    [Symbol.asyncIterator]() {
      const inner = body[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            const step = await inner.next();
            if (step.done) end(outcome);
            return step;
          } catch (error) {
            end(outcomeOf(error, call));
            throw error;
          }
        },
        async return() {
          end('gone');
          return (await inner.return?.()) ?? { done: true, value: undefined };
        },
      };
    },
  };
  return { ...reply, body: parts };
}
