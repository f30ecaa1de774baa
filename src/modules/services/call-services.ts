import { isObject, type JsonObject } from '../../protocol/formats/data.ts';
import { parseJson } from '../../protocol/formats/json.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Call, Module, Reply } from '../module.ts';

/**
 * Calls a method of `services` from within the broker, in the name of a caller that needs no key for it. The
 * result shares nothing with the registry.
 * @param params are read like JSON from the network: a member that is `undefined` is absent.
 * @param signal ends it; default: that of the caller.
 * @returns the envelope of its answer.
 * @throws BrokerError of the method; `invalid_request` for a method whose answer is a stream of events.
 */
export async function callServices(
  services: Module,
  method: string,
  params: object,
  caller: Call,
  signal: AbortSignal = caller.signal,
): Promise<JsonObject> {
  const envelope: unknown = parseJson(
    await textOf(await askServices(services, method, params, caller, signal)),
  );
  if (!isObject(envelope)) throw new BrokerError('internal', `services.${method} returned no envelope`);
  return envelope;
}

/**
 * As {@link callServices}, but with the answer as its JSON ({@link textOf}), which takes no memory of its own
 * before it is read.
 */
export async function askServices(
  services: Module,
  method: string,
  params: object,
  caller: Call,
  signal: AbortSignal,
): Promise<Reply> {
  const reply = await services.call(method, {
    params: parseJson(JSON.stringify(params)) as JsonObject,
    httpMethod: 'POST',
    clientAddress: caller.clientAddress,
    signal,
    get requestId() {
      return caller.requestId;
    },
    get log() {
      return caller.log;
    },
    get registry() {
      return caller.registry;
    },
    header: () => undefined,
    keepOpen: () => caller.keepOpen(),
    drop: () => undefined,
    // Its origin is that of the call that it belongs to.
    get origin() {
      return caller.origin;
    },
  });
  if ((reply.contentType ?? 'application/json') !== 'application/json') {
    await release(reply);
    throw new BrokerError(
      'invalid_request',
      `services.${method} answers with a stream of events, and not with one answer`,
    );
  }
  return reply;
}

/** Ends an answer that is not read. */
async function release({ body }: Reply): Promise<void> {
  if (typeof body === 'object' && Symbol.asyncIterator in body) await body[Symbol.asyncIterator]().return?.();
}

/**
 * The text of an answer of `services`, which is bounded: a page of a list comes in parts, and a long entry as
 * bytes.
 */
export async function textOf({ body }: Pick<Reply, 'body'>): Promise<string> {
  if (typeof body === 'string') return body;
  const decoder = new TextDecoder();
  if (body instanceof Uint8Array) return decoder.decode(body);
  let text = '';
  for await (const part of body)
    text += typeof part === 'string' ? part : decoder.decode(part, { stream: true });
  return text + decoder.decode();
}
