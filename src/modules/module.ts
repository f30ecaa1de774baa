import type { Registry } from '../client/registry/registry.ts';
import { isObject, type Json, kindOf } from '../protocol/formats/data.ts';
import type { Envelope } from '../protocol/messages/envelope.ts';
import { BrokerError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/logger.ts';
import { checkOptions, isFunction, type OptionRules } from '../protocol/options.ts';
import { accepted, isSchema, type StandardSchema } from './parameters.ts';

/** One call of a module's method, as the dispatcher hands it on. Its access key has been checked and taken out. */
export interface Call {
  /** The parameters: a JSON body's members, or the query string's or form's, whose values are strings. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The request's method: `POST`, `GET` or `DELETE`. */
  readonly httpMethod: string;
  /** IP address of the caller; `''` where the server that carries the app does not tell it. */
  readonly clientAddress: string;
  /** Aborted when the caller has gone or the broker stops. */
  readonly signal: AbortSignal;
  /**
   * What tells this call from all others in the log: the request's header `X-Request-Id` where it is 1 to 64 letters, digits and
   * `_.:-`, else made by the broker. The answer has it as a header once it was asked for, and so has every failure.
   */
  readonly requestId: string;
  /** Writes to the broker's log; each line has the module's name as its field `module`, and {@link requestId} as `request`. */
  readonly log: Logger;
  /**
   * The registry of the broker, without an access key. Entries are written in the name of the caller. What waits ends with
   * `signal`.
   */
  readonly registry: Registry;
  /** A request header, or nothing; names in lower case. */
  header(name: string): string | undefined;
  /** Tells the server that the answer may take its time: no idle limit applies. */
  keepOpen(): void;
  /** Closes the connection, whatever was still to be sent. */
  drop(): void;
  /** What the audit trail tells of a call besides its address. It is the broker's own, and not for modules. */
  readonly origin?: CallOrigin | undefined;
  /** Whether the caller has gone, which a broker that stops does not mean. It is the broker's own, and not for modules. */
  readonly hasCallerGone?: boolean;
}

/** Where a call came in. */
export interface CallOrigin {
  readonly module: string;
  readonly method: string;
  /** The key that was presented, by a name that does not give it away; absent where the module asks for none. */
  readonly key?: string | undefined;
}

/** What a method answers. */
export interface Reply {
  /** HTTP status; default 200. */
  readonly status?: number;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** Further headers, names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The whole body, or its parts as they come. */
  readonly body: string | Uint8Array<ArrayBuffer> | AsyncIterable<string | Uint8Array>;
}

/** What is behind a top-level key of the configuration: built in, an extension, or given by the program that embeds a broker. */
export interface Module {
  /**
   * Runs a method. It is never asked for a private one, which begins with `_`.
   * @throws BrokerError `not_found` when the module has no such method; whatever the method throws.
   */
  call(method: string, call: Call): Promise<Reply> | Reply;
  /** Whether a method changes nothing, whatever it is given; default: none is taken to be so. */
  isSafe?(method: string): boolean;
  /** Releases what the module holds; called once, when the broker stops. */
  close?(): Promise<void>;
}

/** One method of a module made by {@link defineModule}. */
export interface MethodDefinition<TParams> {
  /**
   * Checks the parameters; what it gives is what `run` gets. A schema of any library that keeps Standard Schema, such as valibot,
   * zod or arktype; it may be asynchronous. It should refuse unknown parameters: `v.strictObject`, `z.strictObject`, `'+': 'reject'`.
   */
  readonly params: StandardSchema<TParams>;
  run(params: TParams, call: Call): Promise<Reply> | Reply;
  /** Whether it changes nothing, whatever it is given; default false. */
  readonly safe?: boolean;
}

const rules: OptionRules<MethodDefinition<unknown>> = {
  params: {
    required: true,
    expected: 'a schema of valibot, zod, arktype or any other library that keeps Standard Schema',
    accepts: isSchema,
  },
  run: { required: true, expected: 'a function of the parameters and the call', accepts: isFunction },
  safe: { expected: 'true or false', accepts: (safe) => typeof safe === 'boolean' },
};

/**
 * Pairs a schema with the method that takes its output, so that the parameters are typed.
 * @throws BrokerError `invalid_config` for an option that is missing, wrong or unknown.
 */
export function defineMethod<TParams>(definition: MethodDefinition<TParams>): AnyMethod {
  checkOptions<MethodDefinition<TParams>>('defineMethod', definition, rules);
  return definition;
}

/** A method whose parameters' type has been checked where it was defined. */
// oxlint-disable-next-line typescript/no-explicit-any -- a map of methods with parameters of any type
export type AnyMethod = MethodDefinition<any>;

/**
 * Makes a module of methods with checked parameters.
 * @throws BrokerError `invalid_config` for a method that `defineMethod` did not make.
 */
export function defineModule(methods: Readonly<Record<string, AnyMethod>>): Module {
  if (!isObject(methods)) {
    const given = kindOf(methods);
    throw new BrokerError('invalid_config', `defineModule: expected an object of methods, got ${given}`);
  }
  for (const [name, method] of Object.entries<AnyMethod>(methods))
    checkOptions(`defineModule: method '${name}'`, method, rules);
  const find = (method: string): AnyMethod | undefined =>
    Object.hasOwn(methods, method) ? methods[method] : undefined;
  const safe = new Set(Object.keys(methods).filter((method) => find(method)?.safe));
  return {
    isSafe: (method) => safe.has(method),
    call(method, call) {
      const definition = find(method);
      if (!definition)
        throw new BrokerError(
          'not_found',
          `No method '${method}'; there are ${Object.keys(methods).join(', ')}`,
        );
      const { params } = call;
      const result = definition.params['~standard'].validate(params);
      // A promise may be one of another realm, or a library's own.
      if ('then' in result)
        return Promise.resolve(result).then((settled) => definition.run(accepted(settled, params), call));
      return definition.run(accepted(result, params), call);
    },
  };
}

/** A JSON answer. */
export function jsonReply(value: unknown, status = 200): Reply {
  return { status, body: JSON.stringify(value) };
}

/** A success in the envelope. */
export function success(data: Json, revision?: number): Reply {
  const envelope: Envelope = {
    success: true,
    message: 'Success',
    data,
    ...(revision === undefined ? {} : { revision }),
  };
  return jsonReply(envelope);
}

/** A failure in the envelope. */
export function failure(error: BrokerError): Reply {
  const envelope: Envelope = { success: false, message: error.message, code: error.code, data: {} };
  const reply = jsonReply(envelope, error.status);
  return error.retryAfter === undefined
    ? reply
    : { ...reply, headers: { 'retry-after': String(error.retryAfter) } };
}
