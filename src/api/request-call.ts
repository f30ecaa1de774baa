import type { Call } from '../modules/module.ts';
import type { ConnectionInfo } from '../protocol/connection.ts';

/** A call as a request of HTTP makes it. A class, since one is made for each request, and what it gives is rarely asked for. */
export class RequestCall implements Call {
  readonly params: Readonly<Record<string, unknown>>;
  readonly #request: Request;
  readonly #connection: ConnectionInfo;
  readonly #closing: AbortSignal;
  #signal: AbortSignal | undefined;
  #kept = false;

  constructor(
    params: Record<string, unknown>,
    request: Request,
    connection: ConnectionInfo,
    closing: AbortSignal,
  ) {
    this.params = params;
    this.#request = request;
    this.#connection = connection;
    this.#closing = closing;
  }

  get httpMethod(): string {
    return this.#request.method;
  }

  get clientAddress(): string {
    return this.#connection.remoteAddress;
  }

  get signal(): AbortSignal {
    this.#signal ??= AbortSignal.any([this.#request.signal, this.#closing]);
    return this.#signal;
  }

  header(name: string): string | undefined {
    return this.#request.headers.get(name) ?? undefined;
  }

  keepOpen(): void {
    this.#kept = true;
    this.#connection.keepOpen();
  }

  /** The answer is complete: a connection that was kept open for it is as any other again. */
  answered(): void {
    if (this.#kept) this.#connection.answered();
    this.#kept = false;
  }

  drop(): void {
    this.#connection.drop();
  }
}
