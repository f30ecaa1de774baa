/// <reference lib="esnext.disposable" preserve="true" />
import { BrokerError, codeForStatus, type ErrorCode, isErrorCode } from '../protocol/errors.ts';
import { type Head, JSON_TYPE, MAX_FRAME_BYTES, partBytes } from '../protocol/messages/extension-frames.ts';
import { FRAMES_TYPE, type OutputFrame, SILENCE_MS } from '../protocol/messages/output-frames.ts';
import { boundedText, tooLong } from '../runtime/http/bounded-text.ts';
import type { ChannelResponse } from '../runtime/runtime.ts';
import { formatDuration, MAX_TIMER_MS } from '../protocol/formats/duration.ts';
import type { CallParams, Rpc } from './connection/rpc.ts';
import { heard } from './connection/silence.ts';

/** Options of `execute`. */
export interface ExecuteOptions {
  /**
   * Time limit of the whole call, its output included, in milliseconds; default: the broker's limit alone.
   */
  readonly timeoutMs?: number | undefined;
  /** Ends the call; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/** The answer of an extension. */
export interface Execution {
  /** Such as `text/plain; charset=utf-8` or `application/json`. */
  readonly contentType: string;
  /** Whether the output arrives over time, and may fail midway. */
  readonly isStream: boolean;
  /**
   * The output as it arrives; it can be read once, and as slowly as the reader likes. Throws BrokerError when
   * the call fails midway; `timeout` when nobody has begun to read after 40 s what arrives over time.
   */
  readonly output: AsyncIterable<Uint8Array>;
  /**
   * The whole output as text. Throws BrokerError `internal` for more than 256 MiB: read {@link
   * Execution.output} then.
   */
  text(): Promise<string>;
  /**
   * `await using execution = await client.execute(…)` ends the call at the end of the block, if it still
   * runs.
   */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Longest output that is returned as one text, in bytes: JavaScript's strings cannot be much longer. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;
/** Longest line that carries a frame. JSON may make the frame's content six times as long. */
const MAX_LINE = 6 * MAX_FRAME_BYTES;

/** Runs a method of an extension: see `BrokerClient.execute`. */
export async function execute(
  rpc: Rpc,
  method: string,
  params: CallParams,
  { timeoutMs = Infinity, signal }: ExecuteOptions,
): Promise<Execution> {
  const dot = method.lastIndexOf('.');
  if (dot < 1 || dot === method.length - 1) {
    throw new BrokerError(
      'usage',
      `Invalid method '${method}': expected MODULE.METHOD, such as ossec.AddAgent`,
    );
  }
  const limit = watchdog(method, timeoutMs, signal);
  try {
    const response = await rpc.open(method.slice(0, dot), method.slice(dot + 1), params, {
      headers: { accept: `${FRAMES_TYPE}, */*;q=0.5` },
      signal: limit.signal,
      ...(timeoutMs === Infinity ? {} : { timeoutMs: Infinity }),
    });
    return await read(response, limit);
  } catch (error) {
    limit.stop();
    throw limit.reason() ?? error;
  }
}

async function read(response: ChannelResponse, limit: Watchdog): Promise<Execution> {
  const contentType = response.header('content-type') ?? '';
  const isStream = contentType.startsWith(FRAMES_TYPE);
  const frames = isStream ? framesOf(response, limit) : undefined;
  const head = frames && (await nextHead(frames));
  const output = guarded(frames ? partsOf(frames) : response.stream(), limit);
  if (head && head.status >= 400) throw failureOf(head.status, await boundedText(output));
  if (isStream) limit.awaitReader();
  return {
    contentType: head?.contentType ?? (contentType || JSON_TYPE),
    isStream,
    output,
    text: () => boundedText(output, MAX_OUTPUT_BYTES),
    async [Symbol.asyncDispose]() {
      limit.giveUp();
    },
  };
}

/** The error of an answer whose status the extension has chosen; its text is the message. */
function failureOf(status: number, text: string): BrokerError {
  const code = status === 500 ? 'extension_failed' : codeForStatus(status);
  return new BrokerError(code, text.trim() || `The extension answered with status ${status}`, { status });
}

async function nextHead(frames: AsyncGenerator<OutputFrame>): Promise<Head> {
  const { value } = await frames.next();
  const frame = value as OutputFrame | undefined;
  if (frame && 'head' in frame) return frame.head;
  // Nobody reads on, so the answer is let go.
  await frames.return(undefined);
  throw frame && 'error' in frame ? errorOf(frame.error) : brokenOff();
}

async function* partsOf(frames: AsyncGenerator<OutputFrame>): AsyncGenerator<Uint8Array> {
  for await (const frame of frames) {
    if ('end' in frame) return;
    if ('error' in frame) throw errorOf(frame.error);
    if ('text' in frame || 'base64' in frame) yield partBytes(frame);
  }
  throw brokenOff();
}

function errorOf({
  code,
  message,
  status,
}: {
  code: ErrorCode;
  message: string;
  status: number;
}): BrokerError {
  return new BrokerError(isErrorCode(code) ? code : 'extension_failed', message, { status });
}

function brokenOff(): BrokerError {
  return new BrokerError('unreachable', 'The broker broke off its answer');
}

async function* framesOf(response: ChannelResponse, limit: Watchdog): AsyncGenerator<OutputFrame> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of heard(response.stream(), SILENCE_MS, () => limit.fellSilent())) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) throw tooLong(MAX_LINE);
    for (const line of lines) if (line !== '') yield JSON.parse(line) as OutputFrame;
  }
}

async function* guarded(parts: AsyncIterable<Uint8Array>, limit: Watchdog): AsyncGenerator<Uint8Array> {
  limit.readerCame();
  try {
    yield* parts;
  } catch (error) {
    throw limit.reason() ?? error;
  } finally {
    limit.stop();
  }
}

/** Ends a call that has reached its time limit, whose broker sends nothing any more, or that nobody reads. */
interface Watchdog {
  readonly signal: AbortSignal;
  /** Ends a call whose broker sends nothing any more. */
  fellSilent(): void;
  /** Ends the call, with its connection, if nobody begins to read its output in time. */
  awaitReader(): void;
  readerCame(): void;
  /** Why the call was ended; `undefined` when this watchdog did not end it. */
  reason(): BrokerError | undefined;
  stop(): void;
  /** Ends a call that still runs, because nobody wants the rest of its output. */
  giveUp(): void;
}

function watchdog(method: string, timeoutMs: number, signal: AbortSignal | undefined): Watchdog {
  const controller = new AbortController();
  let reason: BrokerError | undefined;
  const end = (error: BrokerError): void => {
    reason ??= error;
    stop();
    controller.abort(reason);
  };
  const late = (): void =>
    end(new BrokerError('timeout', `Gave up waiting for ${method} after ${formatDuration(timeoutMs)}`));
  const timer = timeoutMs > MAX_TIMER_MS ? undefined : setTimeout(late, timeoutMs);
  let unread: NodeJS.Timeout | undefined;
  const follow = (): void => controller.abort(signal?.reason);
  if (signal?.aborted) follow();
  signal?.addEventListener('abort', follow, { once: true });
  const stop = (): void => {
    clearTimeout(timer);
    clearTimeout(unread);
    signal?.removeEventListener('abort', follow);
  };
  return {
    signal: controller.signal,
    reason: () => reason,
    fellSilent: () => end(new BrokerError('unreachable', `The broker fell silent while ${method} ran`)),
    awaitReader() {
      const why = `Nobody has read the output of ${method} for ${formatDuration(SILENCE_MS)}`;
      unread = setTimeout(() => end(new BrokerError('timeout', why)), SILENCE_MS);
    },
    readerCame: () => clearTimeout(unread),
    stop,
    giveUp: () => end(new BrokerError('timeout', `The call of ${method} was given up`)),
  };
}
