import {
  checkJson,
  checkKey,
  checkNumbers,
  isObject,
  MAX_DATA_BYTES,
  MAX_DATA_DEPTH,
} from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/formats/json.ts';
import type { ConnectionInfo } from '../../protocol/connection.ts';

/**
 * The longest body of a request: the largest data (1 MiB), and 64 KiB for the name, the envelope and JSON's
 * escapes.
 */
export const MAX_BODY_BYTES: number = (1024 + 64) * 1024;

/** The longest access key among the parameters, in characters: in a header, 16 KiB are the limit too. */
const MAX_KEY_LENGTH = 16 * 1024;

/** The longest body that is expected together with its headers, or right after them. */
const SHORT_BODY_BYTES = 16 * 1024;

export interface Parameters {
  readonly params: Record<string, unknown>;
  /** Reads the access key from `Authorization: Bearer`, or from the original's parameter `access_key`. */
  readonly key: () => string | undefined;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads the parameters of a request in every accepted form (contract, section 5): a JSON object as body, or
 * the original's query string or form. The body overrides the query string. A GET with a query string has no
 * body to read (RFC 9110, section 9.3.1).
 */
export function readParameters(
  request: Request,
  connection: ConnectionInfo,
): Parameters | Promise<Parameters> {
  const query = request.url.indexOf('?');
  if (query === -1 || request.method !== 'GET') return readWithBody(request, connection, query);
  return separateKey(fromForm(request.url.slice(query + 1)), request);
}

function readWithBody(request: Request, connection: ConnectionInfo, query: number): Promise<Parameters> {
  return readBody(request, connection).then((bytes) => {
    const text = decode(bytes);
    const fromUrl = query === -1 ? undefined : fromForm(request.url.slice(query + 1));
    const fromBody = text === '' ? undefined : parseBody(text, request.headers.get('content-type') ?? '');
    const params = fromUrl && fromBody ? { ...fromUrl, ...fromBody } : (fromBody ?? fromUrl ?? {});
    return separateKey(params, request);
  }, brokenOff);
}

function separateKey(params: Record<string, unknown>, request: Request): Parameters {
  if (!Object.hasOwn(params, 'access_key')) return { params, key: () => bearer(request) };
  const { access_key: given, ...rest } = params;
  if (Array.isArray(given))
    throw new BrokerError('invalid_request', "Invalid parameter 'access_key': expected one text, not a list");
  const inParams = typeof given === 'string' ? given : undefined;
  // The key is kept for as long as the request waits.
  if (inParams !== undefined && inParams.length > MAX_KEY_LENGTH) {
    throw new BrokerError(
      'invalid_request',
      `Invalid parameter 'access_key': expected at most ${MAX_KEY_LENGTH} characters, not ${inParams.length}`,
    );
  }
  return { params: rest, key: () => bearer(request) ?? inParams };
}

function parseBody(text: string, contentType: string): Record<string, unknown> {
  if (contentType === 'application/json') return fromJson(text);
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/json') return fromJson(text);
  if (type === 'application/x-www-form-urlencoded') return fromForm(text);
  throw new BrokerError(
    'invalid_request',
    `Unsupported Content-Type '${type}': expected application/json or application/x-www-form-urlencoded`,
  );
}

function fromJson(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new BrokerError('invalid_request', 'The body is not valid JSON', { cause: error });
  }
  if (!isObject(value)) throw new BrokerError('invalid_request', 'The body must be a JSON object');
  checkNumbers(text);
  // Data has its own limit of depth, and is one level down here.
  checkJson(value, MAX_DATA_DEPTH + 1);
  return value;
}

function fromForm(text: string): Record<string, unknown> {
  // The common case: one parameter that needs no decoding.
  const equals = text.indexOf('=');
  if (equals !== -1 && !/[%+&]/.test(text)) {
    const key = text.slice(0, equals);
    checkKey(key);
    return { [key]: text.slice(equals + 1) };
  }
  const pairs = [...new URLSearchParams(text)];
  for (const [key] of pairs) checkKey(key);
  // The decoder replaces bytes that are not UTF-8 by this character.
  const replaced = pairs.flat().join('').split('\uFFFD').length - 1;
  if (replaced > 0 && replaced > (text.match(/%EF%BF%BD|\uFFFD/gi)?.length ?? 0)) {
    throw new BrokerError('invalid_request', 'The parameters are not valid UTF-8');
  }
  return collect(pairs);
}

/** The values by key; those of a key that is repeated as a list, which is how a form writes one. */
function collect(pairs: readonly (readonly [string, string])[]): Record<string, unknown> {
  const params: Record<string, string | string[]> = {};
  for (const [key, value] of pairs) {
    const known = Object.hasOwn(params, key) ? params[key] : undefined;
    if (known === undefined) params[key] = value;
    else if (typeof known === 'string') params[key] = [known, value];
    else known.push(value);
  }
  return params;
}

/** The key in the request's header, or undefined. */
export function bearer(request: Request): string | undefined {
  const header = request.headers.get('authorization');
  if (header === null) return undefined;
  return /^bearer +(.+)$/i.exec(header)?.[1]?.trim();
}

function readBody(request: Request, connection: ConnectionInfo): Promise<ArrayBuffer | Uint8Array> {
  const declared = request.headers.get('content-length');
  if (declared !== null && Number(declared) > MAX_BODY_BYTES) throw tooLarge();
  if (declared === null || Number(declared) > SHORT_BODY_BYTES) connection.awaitBody();
  // Bun makes a new stream for each read of `body`, so it is read only where there is no length.
  return declared === null ? readChunks(request.body) : request.arrayBuffer();
}

function decode(bytes: ArrayBuffer | Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw new BrokerError('invalid_request', 'The body is not valid UTF-8', { cause: error });
  }
}

/** If a body cannot be read to its end, its sender failed and not the broker. */
function brokenOff(error: unknown): never {
  if (error instanceof BrokerError) throw error;
  throw new BrokerError('invalid_request', 'The body broke off before its end', { cause: error });
}

/** Reads a body of unknown length, up to the limit. */
async function readChunks(body: ReadableStream<Uint8Array> | null): Promise<Uint8Array> {
  if (body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(): BrokerError {
  return new BrokerError(
    'too_large',
    `The request is too large: at most ${MAX_DATA_BYTES} bytes of data, and ${MAX_BODY_BYTES} bytes as a whole`,
  );
}
