import { isObject, type Json, MAX_DATA_BYTES } from '../../protocol/formats/data.ts';
import { parseJson } from '../../protocol/formats/json.ts';
import { formatDuration } from '../../protocol/formats/duration.ts';
import { createEnding, type Ending } from '../../protocol/ending.ts';
import { BrokerError, codeForStatus, type ErrorCode, isErrorCode } from '../../protocol/errors.ts';
import type { ChannelResponse } from '../../runtime/runtime.ts';
import { type TimeLimit, withTimeout } from './time-limit.ts';
import type { BrokerConnection } from './connection.ts';

/** Calls to one broker whose identity has been checked. */
export interface Rpc {
  readonly connection: BrokerConnection;
  /** Aborted by `close`, with the error of later calls as its reason. Every open call listens to it. */
  readonly closed: Ending;
  /**
   * Calls a method and returns the JSON of its answer. An aborted `signal` throws its reason.
   * @throws BrokerError what the broker reports.
   * @throws BrokerError `unreachable` when it cannot be reached or takes longer than the timeout.
   * @throws BrokerError `identity_mismatch`, with nothing sent.
   */
  call(module: string, method: string, params: CallParams, options?: CallOptions): Promise<Json>;
  /** Calls a method and returns the answer itself, once its status is known to be good. */
  open(module: string, method: string, params: CallParams, options?: CallOptions): Promise<ChannelResponse>;
  /** Ends every call and every answer that is still read, and refuses later calls with `usage`. */
  close(): void;
}

/** Parameters of a call, by name; `undefined` ones are left out. */
export type CallParams = Readonly<Record<string, Json | undefined>>;

/** Options of one call. */
export interface CallOptions {
  /** Time limit of connection and answer, in milliseconds; default: the client's. `Infinity`: no limit. */
  readonly timeoutMs?: number;
  /** Ends the call; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Further headers of the request; default: none. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RpcOptions {
  readonly connection: BrokerConnection;
  readonly accessKey?: string | undefined;
  readonly timeoutMs: number;
  readonly onAnswer?: ((answer: Json) => void) | undefined;
}

export function createRpc({ connection, accessKey, timeoutMs: defaultTimeoutMs, onAnswer }: RpcOptions): Rpc {
  // A header carries printable ASCII in the same way on every runtime. Any other key goes with the
  // parameters.
  const inHeader = accessKey !== undefined && /^[!-~](?:[ -~]*[!-~])?$/.test(accessKey);
  const authorization: Readonly<Record<string, string>> = inHeader
    ? { authorization: `Bearer ${accessKey}` }
    : {};
  const { signal: closed, end } = createEnding();
  const withParams = accessKey && !inHeader ? { access_key: accessKey } : {};

  const open = async (module: string, method: string, params: CallParams, options: CallOptions = {}) => {
    const { timeoutMs = defaultTimeoutMs, headers = {} } = options;
    closed.throwIfAborted();
    const limit = withTimeout(timeoutMs, options.signal, closed);
    try {
      const response = await connection.request({
        method: 'POST',
        path: `/${encodeURIComponent(module)}/${encodeURIComponent(method)}`,
        headers: {
          'content-type': 'application/json',
          ...authorization,
          ...headers,
        },
        body: JSON.stringify({ ...params, ...withParams }),
        signal: limit.signal,
      });
      checkRedirect(connection, response);
      if (response.status >= 400) {
        const origin = { connection, isBuiltIn: builtIn.has(module) };
        throw failureOf(response.status, await response.text(), origin);
      }
      return { response, limit };
    } catch (error) {
      limit.release();
      throw limit.timedOut() ? tooSlow(connection, timeoutMs) : error;
    }
  };

  return {
    connection,
    closed,
    async call(module, method, params, options = {}) {
      const { response, limit } = await open(module, method, params, options);
      try {
        const answer = parseAnswer(await response.text(), module, method);
        onAnswer?.(answer);
        return answer;
      } catch (error) {
        throw limit.timedOut() ? tooSlow(connection, options.timeoutMs ?? defaultTimeoutMs) : error;
      } finally {
        limit.release();
      }
    },
    async open(module, method, params, options) {
      const { response, limit } = await open(module, method, params, options);
      limit.clear();
      return releasing(response, limit);
    },
    close() {
      // The calls end with this reason first, and not with that of a broken connection: they would try again.
      end(closedError(connection));
      connection.close();
    },
  };
}

/** The answer, which follows the signals of its limit until it has been read. */
function releasing(response: ChannelResponse, limit: TimeLimit): ChannelResponse {
  const { status } = response;
  async function* stream(): AsyncGenerator<Uint8Array> {
    try {
      yield* response.stream();
    } finally {
      limit.release();
    }
  }
  const text = (): Promise<string> => response.text().finally(() => limit.release());
  return { status, header: (name) => response.header(name), stream, text };
}

function closedError({ place }: BrokerConnection): BrokerError {
  return new BrokerError(
    'usage',
    `The client of the broker at ${place} has been closed; connect() makes another one`,
  );
}

/** Modules that always answer with an envelope: an answer without one is not theirs. */
const builtIn: ReadonlySet<string> = new Set(['ping', 'services']);

/** Refuses redirects: the access key is not sent to another server. */
export function checkRedirect({ place }: BrokerConnection, { status, header }: ChannelResponse): void {
  const location = header('location');
  if (status < 300 || status > 399 || location === undefined) return;
  throw new BrokerError(
    'internal',
    `The server at ${place} redirects its callers to '${location.slice(0, 200)}' (HTTP status ${status}), which is not followed: name the broker by the URL at which it answers itself`,
    { status },
  );
}

export function tooSlow({ place }: BrokerConnection, ms: number): BrokerError {
  return new BrokerError('unreachable', `No answer from the broker at ${place} within ${formatDuration(ms)}`);
}

function parseAnswer(text: string, module: string, method: string): Json {
  let answer: Json;
  try {
    answer = parseJson(text) as Json;
  } catch (error) {
    throw new BrokerError('internal', `${module}.${method} did not answer with JSON: ${text.slice(0, 80)}`, {
      cause: error,
    });
  }
  // The original answers 200 to a call that failed.
  if (isObject(answer) && answer['success'] === false) throw failureOf(200, text);
  return answer;
}

/** The sender of the answer, for messages. */
interface Origin {
  readonly connection: BrokerConnection;
  readonly isBuiltIn: boolean;
}

/** The error of a failed answer: the code and message of its envelope, or else by its HTTP status. */
export function failureOf(status: number, text: string, origin?: Origin): BrokerError {
  let envelope: unknown;
  try {
    envelope = JSON.parse(text);
  } catch {
    envelope = undefined;
  }
  const { code, message, success } = isObject(envelope) ? envelope : {};
  const isBrokers = isErrorCode(code) || success === false;
  const byOther = isBrokers || !origin ? undefined : failureOfAnother(status, origin);
  if (byOther) return byOther;
  return new BrokerError(
    isErrorCode(code) ? code : codeForStatus(status),
    typeof message === 'string' && message !== '' ? message : bareStatus(status, origin?.connection),
    { status },
  );
}

/**
 * The error of an answer that no broker has made: from a server of another kind, or from a proxy that does
 * not reach its broker.
 */
function failureOfAnother(status: number, { connection, isBuiltIn }: Origin): BrokerError | undefined {
  const { place, isProxied } = connection;
  const failure = (code: ErrorCode, why: string): BrokerError =>
    new BrokerError(code, `Something answers at ${place}, but ${why} (HTTP status ${status})`, { status });
  // Every broker has the built-in modules.
  if (status === 404 && isBuiltIn)
    return failure('unreachable', `it is no broker: check the ${isProxied ? 'path of the URL' : 'address'}`);
  if (!isProxied) return undefined;
  switch (status) {
    case 502:
    case 504:
      return failure('unreachable', 'it reaches no broker');
    case 503:
      return failure('unavailable', 'the broker behind it is out of service');
    default:
      return undefined;
  }
}

/** The error of an answer without an envelope: from a proxy, or from the server before the broker's code. */
function bareStatus(status: number, connection: BrokerConnection | undefined): string {
  if (status === 413)
    return `The request is too large for the broker: data may have at most ${MAX_DATA_BYTES} bytes of JSON`;
  const who = connection?.isProxied
    ? `The broker at ${connection.place}, or a proxy before it,`
    : 'The broker';
  return `${who} answered with HTTP status ${status}`;
}
