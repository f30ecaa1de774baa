import { runtime } from '#runtime';
import type { HostPort } from '../protocol/address.ts';
import { formatAddress } from '../protocol/address.ts';
import { isObject, type Json, type JsonObject, MAX_DATA_BYTES } from '../protocol/data.ts';
import { formatDuration, MAX_TIMER_MS } from '../protocol/duration.ts';
import { BrokerError, codeForStatus, isErrorCode } from '../protocol/errors.ts';
import type { Channel, ChannelResponse, Pin } from '../runtime/runtime.ts';
import { identityMismatch, type PinSource } from './identity.ts';

/** Calls to one broker whose identity has been settled. */
export interface Rpc {
  readonly address: HostPort;
  /** The certificate that the broker must present, wherever it is. */
  readonly pin: Pin;
  readonly pinSource: PinSource;
  /** From now on, calls go to another address of the same broker. Those that are under way at the former one end. */
  moveTo(address: HostPort): void;
  /**
   * Calls a method and gives the JSON that it answers.
   * @throws BrokerError what the broker reports; `unreachable` when it cannot be reached or takes longer than the
   *   timeout; `identity_mismatch`, with nothing sent. An aborted `signal` throws its reason.
   */
  call(module: string, method: string, params: CallParams, options?: CallOptions): Promise<JsonObject>;
  /** Calls a method and gives the answer itself, once its status has been found good. */
  open(module: string, method: string, params: CallParams, options?: CallOptions): Promise<ChannelResponse>;
  close(): void;
}

export type CallParams = Readonly<Record<string, Json | undefined>>;

export interface CallOptions {
  /** Longest for connection and answer, in milliseconds; default: the client's. `Infinity` sets no limit. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RpcOptions {
  readonly address: HostPort;
  readonly pin: Pin;
  readonly pinSource: PinSource;
  readonly accessKey?: string | undefined;
  readonly timeoutMs: number;
  readonly onAnswer?: ((answer: JsonObject) => void) | undefined;
}

export function createRpc(rpcOptions: RpcOptions): Rpc {
  const { pin, pinSource, accessKey, timeoutMs: defaultTimeoutMs, onAnswer } = rpcOptions;
  const openChannel = (to: HostPort): Channel =>
    runtime.openChannel({
      ...to,
      pin,
      mismatch: (presented) => identityMismatch(to, pin.fingerprint, presented, pinSource),
    });
  let { address } = rpcOptions;
  let channel = openChannel(address);

  // A header carries printable ASCII alike on every runtime; any other key goes with the parameters.
  const inHeader = accessKey !== undefined && /^[!-~](?:[ -~]*[!-~])?$/.test(accessKey);
  const authorization: Readonly<Record<string, string>> = inHeader
    ? { authorization: `Bearer ${accessKey}` }
    : {};
  const withParams = accessKey && !inHeader ? { access_key: accessKey } : {};

  const open = async (module: string, method: string, params: CallParams, options: CallOptions = {}) => {
    const { timeoutMs = defaultTimeoutMs, headers = {} } = options;
    const limit = withTimeout(timeoutMs, options.signal);
    try {
      const response = await channel.request({
        method: 'POST',
        path: `/${encodeURIComponent(module)}/${encodeURIComponent(method)}`,
        headers: {
          'content-type': 'application/json',
          ...authorization,
          ...headers,
        },
        body: JSON.stringify({ ...params, ...withParams }),
        ...(limit.signal ? { signal: limit.signal } : {}),
      });
      if (response.status >= 400) throw failureOf(response.status, await response.text());
      return { response, limit };
    } catch (error) {
      limit.release();
      throw limit.timedOut() ? tooSlow(address, timeoutMs) : error;
    }
  };

  return {
    get address() {
      return address;
    },
    pin,
    pinSource,
    moveTo(to) {
      channel.close();
      address = to;
      channel = openChannel(to);
    },
    async call(module, method, params, options = {}) {
      const { response, limit } = await open(module, method, params, options);
      try {
        const answer = parseAnswer(await response.text(), module, method);
        onAnswer?.(answer);
        return answer;
      } catch (error) {
        throw limit.timedOut() ? tooSlow(address, options.timeoutMs ?? defaultTimeoutMs) : error;
      } finally {
        limit.release();
      }
    },
    async open(module, method, params, options) {
      const { response, limit } = await open(module, method, params, options);
      limit.clear();
      return response;
    },
    close: () => channel.close(),
  };
}

interface Limit {
  readonly signal: AbortSignal | undefined;
  /** Takes the time limit away; the caller's own signal goes on counting. */
  clear(): void;
  /** Lets go of the caller's signal too. */
  release(): void;
  timedOut(): boolean;
}

/** A signal that follows `signal` and is aborted after `ms` as well, until it is cleared. */
function withTimeout(ms: number, signal: AbortSignal | undefined): Limit {
  if (ms > MAX_TIMER_MS)
    return { signal, clear: () => undefined, release: () => undefined, timedOut: () => false };
  const controller = new AbortController();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    controller.abort(new Error('timed out'));
  }, ms);
  const follow = (): void => controller.abort(signal?.reason);
  if (signal?.aborted) follow();
  signal?.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    clear: () => clearTimeout(timer),
    release() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', follow);
    },
    timedOut: () => late,
  };
}

function tooSlow(address: HostPort, ms: number): BrokerError {
  return new BrokerError(
    'unreachable',
    `No answer from the broker at ${formatAddress(address)} within ${formatDuration(ms)}`,
  );
}

function parseAnswer(text: string, module: string, method: string): JsonObject {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (error) {
    throw new BrokerError('internal', `${module}.${method} did not answer with JSON: ${text.slice(0, 80)}`, {
      cause: error,
    });
  }
  if (!isObject(answer))
    throw new BrokerError('internal', `${module}.${method} answered ${text.slice(0, 80)}`);
  // The original answers 200 to a call that failed.
  if (answer['success'] === false) throw failureOf(200, text);
  return answer;
}

/** What an answer without an envelope says: a proxy made it, or the server before it reached the broker's code. */
function bareStatus(status: number): string {
  if (status === 413)
    return `The request is too large for the broker: data takes at most ${MAX_DATA_BYTES} bytes of JSON`;
  return `The broker answered with HTTP status ${status}`;
}

/** The error that a failed answer carries: its envelope's code and message, or what its status says. */
function failureOf(status: number, text: string): BrokerError {
  let envelope: unknown;
  try {
    envelope = JSON.parse(text);
  } catch {
    envelope = undefined;
  }
  const { code, message } = isObject(envelope) ? envelope : {};
  return new BrokerError(
    isErrorCode(code) ? code : codeForStatus(status),
    typeof message === 'string' && message !== '' ? message : bareStatus(status),
    { status },
  );
}
