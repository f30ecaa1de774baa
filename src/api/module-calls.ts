import type { Call, Reply } from '../modules/module.ts';
import { BrokerError } from '../protocol/errors.ts';
import { comesInParts } from './requests/response.ts';

/** One call of a module that is not built in, once it is over. */
export interface PastCall {
  /** When it began, ISO 8601. */
  readonly at: string;
  readonly method: string;
  /** IP address of the caller; `''` where the server does not tell it. */
  readonly source: string;
  /** `ok`, the code of an error, `status 404` for a status of the module's own, `gone` where the caller did not wait for the end. */
  readonly outcome: string;
  readonly seconds: number;
}

/** The last calls of a module. */
export interface CallsOfModule {
  /** How many are under way. */
  readonly running: number;
  /** The latest first, at most {@link KEPT}. */
  readonly calls: readonly PastCall[];
}

/** Remembers the last calls of each module, and nothing of what they carry. */
export interface ModuleCalls {
  /** Runs a call of a module that the configuration enables, and remembers what came of it. */
  run(module: string, method: string, call: Call, work: () => Promise<Reply> | Reply): Promise<Reply> | Reply;
  of(module: string): CallsOfModule;
}

/** Calls that are kept of each module. */
const KEPT = 20;
/** Longest name of a method that is kept: callers choose it. */
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
      // In microseconds: what is beyond them is noise of the arithmetic.
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

/** An answer whose end is reported: at once where it is there whole, else when its last part has been taken. */
function observed(reply: Reply, call: Call, end: (outcome: string) => void): Reply {
  // A module in your own process may answer with what is none, which its caller learns elsewhere.
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
