import type { Registry } from '../../client/registry/registry.ts';
import type { Call, CallOrigin, Module, Reply } from '../../modules/module.ts';
import { ownRegistry } from '../../modules/services/own-registry.ts';
import type { Dispatcher } from './dispatcher.ts';
import { type AnySignal, anySignal } from './any-signal.ts';
import { requestIdOf, withRequestId } from './request-id.ts';
import type { BrokerError } from '../../protocol/errors.ts';
import type { ConnectionInfo } from '../../protocol/connection.ts';
import type { Ending } from '../../protocol/ending.ts';
import { type Logger, withFields } from '../../protocol/logger.ts';
import type { Parameters } from './request-parameters.ts';

/** The parts that all calls of an app share. */
export interface CallContext {
  /** The module `services`, on which the registry of a call is built. */
  readonly services: Module;
  readonly log: Logger;
  /** Aborted when the broker stops. */
  readonly closing: Ending;
  readonly dispatcher: Pick<Dispatcher, 'nameOf'>;
}

/**
 * A call from an HTTP request. It is a class, since each request makes one, and most of its properties are
 * rarely read.
 */
export class RequestCall implements Call {
  readonly params: Readonly<Record<string, unknown>>;
  /** The time of its request, as `performance.now()` returns it. */
  readonly since: number;
  readonly #request: Request;
  readonly #connection: ConnectionInfo;
  readonly #context: CallContext;
  readonly #module: string;
  readonly #method: string;
  readonly #key: () => string | undefined;
  #signal: AnySignal | undefined;
  #registry: Registry | undefined;
  #kept = false;
  #isNamed = false;

  constructor(
    { params, key }: Parameters,
    request: Request,
    connection: ConnectionInfo,
    module: string,
    method: string,
    context: CallContext,
    since: number,
  ) {
    this.params = params;
    this.since = since;
    this.#request = request;
    this.#connection = connection;
    this.#module = module;
    this.#method = method;
    this.#key = key;
    this.#context = context;
  }

  get httpMethod(): string {
    return this.#request.method;
  }

  get clientAddress(): string {
    return this.#connection.remoteAddress;
  }

  get signal(): AbortSignal {
    return this.#following().signal;
  }

  #following(): AnySignal {
    this.#signal ??= anySignal(this.#request.signal, this.#context.closing);
    return this.#signal;
  }

  get hasCallerGone(): boolean {
    // A broker that stops closes connections, too.
    return this.#request.signal.aborted && !this.#context.closing.aborted;
  }

  get requestId(): string {
    this.#isNamed = true;
    return requestIdOf(this.#request);
  }

  /** The answer to send: with the id, where the id has been read. Most calls never read it. */
  named(reply: Reply): Reply {
    return this.#isNamed ? withRequestId(reply, this.#request) : reply;
  }

  get log(): Logger {
    return withFields(this.#context.log, { module: this.#module, request: this.requestId });
  }

  get origin(): CallOrigin {
    const [module, method] = [this.#module, this.#method];
    return { module, method, key: this.#context.dispatcher.nameOf(module, this.#key) };
  }

  get registry(): Registry {
    this.#registry ??= ownRegistry(this.#context.services, this);
    return this.#registry;
  }

  header(name: string): string | undefined {
    return headerOf(this.#request, name);
  }

  keepOpen(): void {
    this.#kept = true;
    this.#connection.keepOpen();
  }

  /** The answer is complete: the usual limits apply again to a connection that was kept open for it. */
  answered(): void {
    if (this.#kept) this.#connection.answered();
    this.#kept = false;
    this.#signal?.letGo();
  }

  /** Whether the answer may take long, and is not complete. */
  get isHeld(): boolean {
    return this.#kept;
  }

  drop(): void {
    this.#connection.drop();
  }

  /** Ends the call of a caller that may not make it any more, also where its module does not heed its signal. */
  revoke(reason: BrokerError): void {
    this.#following().abort(reason);
    this.drop();
  }
}

/** A header of a request, or undefined. `name` is in lower case. */
export function headerOf(request: Request, name: string): string | undefined {
  const value = request.headers.get(name);
  // HTTP/2 has an authority instead (RFC 9113, section 8.3.1), which some servers show only in the URL.
  return value ?? (name === 'host' ? new URL(request.url).host : undefined);
}
