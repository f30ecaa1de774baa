import { randomBytes } from 'node:crypto';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { isObject } from '../../protocol/formats/data.ts';
import {
  type CallFrame,
  type FromHost,
  hostVariables,
  MAX_FRAME_BYTES,
  type ToHost,
} from '../../protocol/messages/extension-frames.ts';
import type { Logger } from '../../protocol/logger.ts';
import { resolveWithin } from '../../protocol/timeout.ts';
import type { Reply } from '../../modules/module.ts';
import { type IncomingReply, createIncomingReply } from '../incoming-reply.ts';
import { type ExitStatus, startChild } from '../executables/child.ts';
import { type Guard, guardCall } from '../executables/call-limits.ts';
import type { Limits } from '../limits.ts';
import { createLineReader } from '../executables/line-reader.ts';
import type { Extension } from '../lookup.ts';
import { treeMemory } from '../executables/memory.ts';
import { createOutputLog } from '../output-log.ts';
import { type Answerer, type Ask, createAsks, MAX_ASKS } from './asks.ts';

/** A warm process that has loaded a script and runs its methods, one call at a time (docs/extensions.md, "Hosts"). */
export interface ScriptHost {
  /** Whether it can take another call. */
  readonly alive: boolean;
  /**
   * Runs a call; no other may be in progress. `reply` settles when the answer begins, and rejects with the
   * error of the extension, of a limit, or of the process. `done` resolves when the call has ended in any
   * way, and what it printed before has been read.
   */
  call(call: HostCall): { readonly reply: Promise<Reply>; readonly done: Promise<void> };
  /** Ends the process at once. Resolves when it has ended, and what it printed is in the log. */
  stop(): Promise<void>;
}

export interface HostCall extends CallFrame {
  /** The request's id in the lines of the log about the call. */
  readonly requestId: string;
  /** Aborted when the caller has gone or the broker stops. */
  readonly signal: AbortSignal;
  /** Whether `signal` was aborted since the caller has gone. */
  hasCallerGone(): boolean;
  readonly ask: Ask;
}

export interface ScriptHostOptions {
  readonly extension: Extension;
  /** The program that hosts scripts of this kind. */
  readonly command: readonly string[];
  readonly limits: Limits;
  readonly log: Logger;
}

const MIB = 1024 * 1024;
const nothing = (): void => undefined;
/**
 * How long a call's output is waited for once it has been answered, in milliseconds. Its end comes at once,
 * unless the extension has closed standard error.
 */
const PRINTED_MS = 250;
/** The most bytes of a line on standard error that wait for its end. */
const PRINTED_BYTES = 16 * 1024;
/** The shortest pause between two checks of a host's memory after calls, in milliseconds. */
const LOOK_EVERY_MS = 1000;

interface Running {
  readonly id: number;
  readonly call: HostCall;
  readonly answer: IncomingReply;
  readonly guard: Guard;
}

export function startScriptHost({ extension, command, limits, log }: ScriptHostOptions): ScriptHost {
  const { name, file, dir } = extension;
  const mark = `\u0002${randomBytes(12).toString('hex')} `;
  const output = createOutputLog(name, log);
  let running: Running | undefined;
  let alive = true;
  let calls = 0;
  let unloadable: string | undefined;
  let lookedAt = performance.now();
  /** Bytes printed since the last call has ended. */
  let betweenCalls = 0;
  /** Called when everything that the present call printed has been read. */
  let allRead = nothing;

  const child = startChild({
    name,
    command,
    cwd: dir,
    env: {
      [hostVariables.file]: file,
      [hostVariables.name]: name,
      [hostVariables.dir]: dir,
      [hostVariables.mark]: mark,
    },
    onStderr(bytes) {
      count(bytes);
      printed.read(bytes);
    },
  });
  const asks = createAsks({
    stdin: child.stdin,
    onTooMany: () =>
      stopWith(
        failed(
          `Extension '${name}' was stopped: ${MAX_ASKS} of its questions to the broker have no answer yet; await some of them before it asks more`,
        ),
      ),
  });
  const send = (frame: ToHost): void => void child.stdin.write(`${JSON.stringify(frame)}\n`);

  const stopWith = (error: BrokerError): void => {
    alive = false;
    running?.answer.fail(error);
    child.kill();
  };

  const take = (frame: FromHost): void => {
    switch (frame.type) {
      case 'ready':
        return;
      case 'ending':
        alive = false;
        return;
      case 'unloadable':
        unloadable = frame.message;
        return;
      case 'log':
        output.log(frame.level, frame.message);
        return;
      case 'ask': {
        const { call } = running?.id === frame.call ? running : {};
        const answer: Answerer = (signal) =>
          call ? call.ask(frame.question, signal) : Promise.reject(outsideCall());
        asks.take(frame.id, answer, mayWait(frame.question));
        return;
      }
      case 'cancel':
        asks.cancel(frame.id);
        return;
      case 'printed':
        if (frame.id === calls) allRead();
        return;
      default:
        // Frames of a call that has ended, from work that it left running, are ignored.
        if (running?.id === frame.id) running.answer.take(frame);
    }
  };

  const count = ({ byteLength }: Buffer): void => {
    if (running) return running.guard.printed(byteLength);
    betweenCalls += byteLength;
    if (betweenCalls <= limits.outputBytes || !alive) return;
    const mib = limits.outputBytes / MIB;
    log.warn('extension host ended: it printed more than _output_mb after its call had ended', {
      extension: name,
      mib,
    });
    stopWith(failed(`Extension '${name}' was stopped: it printed more than its _output_mb, ${mib} MiB`));
  };

  const lines = {
    onFrame(frame: FromHost) {
      try {
        take(frame);
      } catch (error) {
        // Frames come from the extension's process, and may be malformed.
        stopWith(
          failed(`Extension '${name}' was stopped: its host sent a malformed frame: ${messageOf(error)}`),
        );
      }
    },
    onBroken: () =>
      stopWith(failed(`Extension '${name}' was stopped: its host sent a line that is not a frame`)),
    onText: (bytes: Uint8Array) => output.write(bytes),
  };
  const reader = createLineReader(mark, MAX_FRAME_BYTES, {
    ...lines,
    onOverflow: () =>
      stopWith(
        failed(
          `Extension '${name}' was stopped: it printed a line longer than ${MAX_FRAME_BYTES / 1024 / 1024} MiB`,
        ),
      ),
  });
  const printed = createLineReader(mark, PRINTED_BYTES, { ...lines, onOverflow: lines.onText });
  child.stdout.on('data', (bytes: Buffer) => {
    count(bytes);
    reader.read(bytes);
  });

  /** Calls too short for a check of their guard may leave more and more memory behind. */
  const endIfGrown = async (): Promise<void> => {
    const now = performance.now();
    if (now - lookedAt < LOOK_EVERY_MS || child.pid === undefined) return;
    lookedAt = now;
    const bytes = (await treeMemory(child.pid)) ?? 0;
    if (bytes <= limits.memoryBytes || running) return;
    log.warn('extension host ended: it kept too much memory', {
      extension: name,
      mib: Math.round(bytes / MIB),
    });
    stopWith(failed(`Extension '${name}' was stopped: it kept too much memory`));
  };

  const endedWith = (error: BrokerError): void => {
    reader.end();
    printed.end();
    output.flush();
    allRead();
    running?.answer.fail(error);
  };
  const explain = ({ code, signal }: ExitStatus): BrokerError => {
    if (unloadable !== undefined) return failed(`Extension '${name}' cannot be loaded: ${unloadable}`);
    const how = signal === null ? `ended with exit code ${code}` : `was killed (${signal})`;
    return failed(`Extension '${name}' ${how} before it had answered`);
  };
  const gone = (): void => void (alive = false);
  child.exited.then(gone, gone);
  const over = child.ended.then(
    (ending) => endedWith(explain(ending)),
    (error: unknown) => endedWith(error as BrokerError),
  );

  return {
    get alive() {
      return alive;
    },
    call(call) {
      const id = ++calls;
      output.begin(call.requestId);
      const isRead = new Promise<void>((resolve) => {
        allRead = resolve;
      });
      const answer = createIncomingReply({
        onFull: () => child.stdout.pause(),
        onRoom: () => child.stdout.resume(),
        onAbandoned() {
          child.stdout.resume();
          send({ type: 'abort', id });
        },
      });
      const guard = guardCall(name, child.pid, limits, stopWith);
      const abort = (): void => {
        // A broker that stops lets the call finish, for as long as it can.
        if (call.hasCallerGone()) send({ type: 'abort', id });
      };
      running = { id, call, answer, guard };
      void answer.done.finally(() => {
        guard.stop();
        call.signal.removeEventListener('abort', abort);
        running = undefined;
        betweenCalls = 0;
        asks.endAll(outsideCall());
        void endIfGrown();
      });
      const { method, params, clientAddress, config } = call;
      send({ type: 'call', id, method, params, clientAddress, config });
      call.signal.addEventListener('abort', abort, { once: true });
      // The answer comes by another pipe than what was printed before it, which must not be taken for output
      // of the next call.
      const done = answer.done.then(() => resolveWithin(PRINTED_MS, isRead)).then(() => undefined);
      return { reply: answer.reply, done };
    },
    stop() {
      stopWith(new BrokerError('unavailable', 'The broker is stopping'));
      return over;
    },
  };
}

/** Whether the answer to a question may depend on a later one. Frames may hold anything. */
function mayWait(question: unknown): boolean {
  if (!isObject(question) || !('services' in question)) return true;
  const { params } = question;
  return isObject(params) && 'wait' in params;
}

/** Outside a call there is no caller to ask for, and no signal to end the wait. */
function outsideCall(): BrokerError {
  return new BrokerError(
    'invalid_request',
    'The registry and locks are available only during a call; this one has ended, or has not begun',
  );
}

function failed(message: string): BrokerError {
  return new BrokerError('extension_failed', message);
}
