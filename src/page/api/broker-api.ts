/** An entry's data with its stamps, as the API sends it; a string is under `_str`. */
export type StampedData = Readonly<Record<string, unknown>>;

/** One entry in the page's memory. */
export interface PageEntry {
  readonly name: string;
  readonly revision: number;
  /** The data without the stamps: an object, or a string. */
  readonly data: unknown;
  /** Unix time in seconds; 0 where it is unknown. */
  readonly writtenAt: number;
  readonly writtenBy: string;
  /** Seconds; absent for an entry without a lifetime. */
  readonly ttl?: number;
  /** The end of its lifetime, in Unix seconds by the reader's clock. */
  readonly endsAt?: number;
}

/** A failure: an error of the broker, or no answer (`status` 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(message: string, status: number, code: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface ListPage {
  readonly entries: readonly PageEntry[];
  readonly count: number;
  readonly next?: string;
  readonly revision: number;
}

/** A call of a module, as in `status`. */
export interface PastCall {
  readonly at: string;
  readonly method: string;
  readonly source: string;
  readonly outcome: string;
  readonly seconds: number;
}

/** A module that is not built in, with its last calls, the latest first. */
export interface CalledModule {
  readonly name: string;
  readonly running: number;
  readonly calls: readonly PastCall[];
}

export interface ClusterBroker {
  readonly instance: string;
  readonly url: string;
  readonly host: string;
  readonly version: string;
  readonly since: string;
  readonly self: boolean;
}

/** The facts on the page besides entries and figures. */
export interface Status {
  readonly modules: readonly CalledModule[];
  readonly hidden: number;
  readonly cluster?: { readonly brokers: readonly ClusterBroker[]; readonly problem?: string };
}

/** Calls of the broker that the page belongs to. */
export interface BrokerApi {
  /** Sets the key of all further calls, until it is refused; it is kept only in memory. */
  setKey(key: string): void;
  list(options: { readonly after?: string; readonly prefix?: string }): Promise<ListPage>;
  /** The number of all entries. */
  count(): Promise<number>;
  get(name: string): Promise<PageEntry>;
  /** Calls `method`, which is Register, Replace, Update or Delete. Returns the revision of the write. */
  write(method: string, params: Readonly<Record<string, unknown>>): Promise<number>;
  /** The events of `services/Watch`, as a stream of bytes. */
  watch(after: number, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  /**
   * The answer of `status` to a key.
   * @param key `true` for the one of {@link BrokerApi.setKey}; `false` for none.
   */
  status(key: string | boolean): Promise<Status>;
  /**
   * The text of a page without a module's key, such as `metrics`. One that asks for a key of its own is not
   * asked for again: each time would be a refusal in the broker's trail.
   */
  text(path: string): Promise<string>;
  /** The JSON of `readyz` and `identity`, whatever the status. */
  json(path: string): Promise<Record<string, unknown>>;
}

interface Envelope {
  readonly message?: string;
  readonly code?: string;
  readonly data?: unknown;
  readonly revision?: number;
  readonly ttl?: number;
  readonly expires_in?: number;
}

const TIMEOUT_MS = 10_000;

export function createBrokerApi(base: string, now: () => number): BrokerApi {
  let key = '';
  /** The refusals of pages that ask for a key of their own, by path. */
  const refusals = new Map<string, ApiError>();

  async function send(path: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(base + path, { cache: 'no-store', credentials: 'omit', ...init });
    } catch (error) {
      throw new ApiError(`The broker is out of reach (${String(error)})`, 0, 'unreachable');
    }
  }

  /**
   * Sends a request with a key, if one is given. The page repeats its requests, and each wrong key counts
   * against this host. So a refused key, as after a change of the broker's key, is not presented again.
   */
  async function sendAs(presented: string, path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    if (presented !== '') headers.set('authorization', `Bearer ${presented}`);
    const response = await send(path, { ...init, headers });
    if (response.status === 401 && presented === key) key = '';
    return response;
  }

  function call(
    method: string,
    params: Readonly<Record<string, unknown>>,
    signal?: AbortSignal,
  ): Promise<Response> {
    return sendAs(key, `services/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(params),
      signal: signal ?? AbortSignal.timeout(TIMEOUT_MS),
    });
  }

  async function result(method: string, params: Readonly<Record<string, unknown>>): Promise<Envelope> {
    const response = await call(method, params);
    if (!response.ok) throw await failureOf(response);
    return (await response.json()) as Envelope;
  }

  return {
    setKey(given) {
      key = given;
    },
    async list(options) {
      const { data, revision = 0 } = await result('List', options);
      const { entries, count, next } = data as {
        entries: readonly { name: string; revision: number; data: StampedData; ttl?: number }[];
        count: number;
        next?: string;
      };
      const read = entries.map((item) => entryOf(item.name, item.revision, item.data, item.ttl));
      return { entries: read, count, revision, ...(next === undefined ? {} : { next }) };
    },
    async count() {
      const { data } = await result('List', { entries: false });
      return (data as { count: number }).count;
    },
    async get(name) {
      const { revision = 0, data, ttl, expires_in: left } = await result('Get', { name });
      const entry = entryOf(name, revision, data as StampedData, ttl);
      return left === undefined ? entry : { ...entry, endsAt: now() + left };
    },
    async write(method, params) {
      return (await result(method, params)).revision ?? 0;
    },
    async watch(after, signal) {
      const response = await call('Watch', { after }, signal);
      if (!response.ok || response.body === null) throw await failureOf(response);
      return response.body;
    },
    async status(given) {
      const presented = given === true ? key : given === false ? '' : given;
      const response = await sendAs(presented, 'status', { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (!response.ok) throw await failureOf(response);
      return (await response.json()) as Status;
    },
    async text(path) {
      const known = refusals.get(path);
      if (known) throw known;
      const response = await send(path, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (response.ok) return await response.text();
      const failure = await failureOf(response);
      if (failure.status === 401) refusals.set(path, failure);
      throw failure;
    },
    async json(path) {
      const response = await send(path, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      return (await response.json()) as Record<string, unknown>;
    },
  };
}

async function failureOf(response: Response): Promise<ApiError> {
  const text = await response.text();
  try {
    const { message, code } = JSON.parse(text) as Envelope;
    return new ApiError(message ?? response.statusText, response.status, code ?? '');
  } catch {
    return new ApiError(`The broker answered ${response.status} ${response.statusText}`, response.status, '');
  }
}

/** An entry as the API sends it. */
export function entryOf(name: string, revision: number, stamped: StampedData, ttl?: number): PageEntry {
  const { last_write_ts: at, last_write_ip: by, ...data } = stamped;
  const keys = Object.keys(data);
  const text = keys.length === 1 ? data['_str'] : undefined;
  return {
    name,
    revision,
    data: typeof text === 'string' ? text : data,
    writtenAt: typeof at === 'number' ? at : 0,
    writtenBy: typeof by === 'string' ? by : '',
    ...(ttl === undefined ? {} : { ttl }),
  };
}
