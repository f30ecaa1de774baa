import type { Registry } from '../client/registry/registry.ts';
import { isObject, type Json, kindOf } from '../protocol/formats/data.ts';
import type { Envelope } from '../protocol/messages/envelope.ts';
import { BrokerError } from '../protocol/errors.ts';
import { toJson } from '../protocol/formats/json.ts';
import type { Logger } from '../protocol/logger.ts';
import { checkOptions, isFunction, type OptionRules } from '../protocol/options.ts';
import { accepted, isSchema, type StandardSchema } from './parameters.ts';

/**
 * One call of a module's method, as the dispatcher passes it on. Its access key has been checked and removed.
 */
export interface Call {
  /** The parameters: a JSON body's members, or the query string's or form's, whose values are strings. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The request's method: `POST`, `GET` or `DELETE`. */
  readonly httpMethod: string;
  /** IP address of the caller; `''` where the server that carries the app does not say. */
  readonly clientAddress: string;
  /** Aborted when the caller has gone or the broker stops. */
  readonly signal: AbortSignal;
  /**
   * Identifies this call in the log. It is the request's header `X-Request-Id` where that is 1 to 64 letters,
   * digits and `_.:-`, else the broker makes it. Every failure has it as a header, and so has every answer
   * after a first read of it.
   */
  readonly requestId: string;
  /** Writes to the broker's log; each line has the module's name as its field `module`, and {@link requestId} as `request`. */
  readonly log: Logger;
  /**
   * The registry of the broker, without an access key. Entries are written in the name of the caller. Waits
   * and watches end with `signal`.
   */
  readonly registry: Registry;
  /** The value of a request header, or undefined; names in lower case. */
  header(name: string): string | undefined;
  /** Tells the server that the answer may take long: no idle limit applies. */
  keepOpen(): void;
  /** Closes the connection, also before everything has been sent. */
  drop(): void;
  /** More about the call for the audit trail. Only the broker uses it, not modules. */
  readonly origin?: CallOrigin | undefined;
  /** Whether the caller has gone; false when the broker stops. Only the broker uses it, not modules. */
  readonly hasCallerGone?: boolean;
}

/** The origin of a call. */
export interface CallOrigin {
  readonly module: string;
  readonly method: string;
  /** The key of the call, by a name that does not reveal it; absent where the module asks for none. */
  readonly key?: string | undefined;
}

/** The answer of a method. */
export interface Reply {
  /** HTTP status; default 200. */
  readonly status?: number;
  /** The media type; default `application/json`. */
  readonly contentType?: string;
  /** Further headers, names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The whole body, or its parts as they come. */
  readonly body: string | Uint8Array<ArrayBuffer> | AsyncIterable<string | Uint8Array>;
}

/**
 * The module of a top-level key of the configuration: built in, an extension, or passed by the program that
 * embeds a broker.
 */
export interface Module {
  /**
   * Runs a method. It is never called for a private one, which begins with `_`.
   * @throws BrokerError `not_found` when the module has no such method; any other error of the method.
   */
  call(method: string, call: Call): Promise<Reply> | Reply;
  /** Whether a method changes nothing, whatever its parameters; default: false for every method. */
  isSafe?(method: string): boolean;
  /** Releases the module's resources; called once, when the broker stops. */
  close?(): Promise<void>;
}

/** One method of a module made by {@link defineModule}. */
export interface MethodDefinition<TParams> {
  /**
   * The schema that checks the parameters; `run` gets its output. Any library that keeps Standard Schema will
   * do, such as valibot, zod or arktype; it may be asynchronous. It should refuse unknown parameters:
   * `v.strictObject`, `z.strictObject`, `'+': 'reject'`.
   */
  readonly params: StandardSchema<TParams>;
  run(params: TParams, call: Call): Promise<Reply> | Reply;
  /** Whether it changes nothing, whatever its parameters; default false. */
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
 * @throws BrokerError `invalid_config` for a missing, wrong or unknown option.
 */
export function defineMethod<TParams>(definition: MethodDefinition<TParams>): AnyMethod {
  checkOptions<MethodDefinition<TParams>>('defineMethod', definition, rules);
  return definition;
}

/** A method whose parameters' type has been checked where it was defined. */
// oxlint-disable-next-line typescript/no-explicit-any -- a map of methods with parameters of any type
export type AnyMethod = MethodDefinition<any>;

/**
 * Makes a module from methods with checked parameters.
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
      // A promise may come from another realm, or be a library's own.
      if ('then' in result)
        return Promise.resolve(result).then((settled) => definition.run(accepted(settled, params), call));
      return definition.run(accepted(result, params), call);
    },
  };
}

/** A JSON answer. */
export function jsonReply(value: unknown, status = 200): Reply {
  return { status, body: toJson(value) };
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
