import { isObject, type Json, type JsonObject, parseObject } from '../../protocol/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Question } from '../../protocol/extension.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { Call, Module, Reply } from '../module.ts';
import { runExecutable } from './executable.ts';
import { type Limits, readLimits } from './limits.ts';
import { createLocks } from './locks.ts';
import { type Extension, type ExtensionKind, findExtension, versionOf } from './lookup.ts';
import { startScriptHost } from './script-host.ts';
import { createScriptPool, type ScriptPool } from './script-pool.ts';
import { createSlots, type Slots } from './slots.ts';

/** Modules that are no part of the broker: files in the extension directory, run outside its process (contract, section 7). */
export interface Extensions {
  /**
   * The module behind a whitelisted name, or nothing where no file of that name is there.
   * @throws BrokerError `extension_failed` when it must not be run; `invalid_config` for a malformed limit.
   */
  find(name: string): Promise<Module | undefined>;
  /** Ends every process that works for an extension. */
  close(): Promise<void>;
}

export interface ExtensionsOptions {
  /** The extension directory; it need not exist. */
  readonly dir: string;
  /** The configuration: each module's object. */
  readonly config: Readonly<Record<string, JsonObject>>;
  /** The module `services`, through which extensions use the registry. */
  readonly services: Module;
  readonly log: Logger;
  /** The program that hosts scripts. Throws a BrokerError where there is none. */
  hostCommand(kind: Exclude<ExtensionKind, 'executable'>, config: JsonObject): readonly string[];
  /** Lets one call of an executable use the registry: variables for its environment, valid until `revoke`. */
  grantAccess(): Access;
}

export interface Access {
  readonly env: Readonly<Record<string, string>>;
  revoke(): void;
}

/** An extension as it was last found, and what has been made for it. */
interface Loaded {
  readonly extension: Extension;
  readonly module: Module;
  /** Ends its processes: at once, or when they have finished. */
  retire(now: boolean): void;
}

export function createExtensions(options: ExtensionsOptions): Extensions {
  const loaded = new Map<string, Loaded>();
  const locks = createLocks();
  // One for a name, also across changes of its file.
  const slots = new Map<string, Slots>();
  let closed = false;

  const load = async (name: string): Promise<Loaded | undefined> => {
    const config = options.config[name] ?? {};
    const extension = await findExtension(options.dir, name);
    const present = loaded.get(name);
    if (
      present &&
      present.extension.version === extension?.version &&
      present.extension.file === extension.file
    ) {
      return present;
    }
    present?.retire(false);
    loaded.delete(name);
    if (!extension) return undefined;
    const limits = readLimits(name, config);
    const turns = slots.get(name) ?? createSlots(`Extension '${name}'`, limits.concurrency, limits.queue);
    slots.set(name, turns);
    const parts: Parts = { ...options, extension, limits, turns, ownConfig: withoutKey(config) };
    const made = extension.kind === 'executable' ? loadExecutable(parts) : loadScript(parts, locks);
    loaded.set(name, made);
    return made;
  };

  return {
    async find(name) {
      if (closed) throw new BrokerError('unavailable', 'The broker is stopping');
      const present = loaded.get(name);
      // One look at the file that is running: a new version of it counts from the next call on.
      const version = present && (await versionOf(present.extension.file).catch(() => undefined));
      if (present && present.extension.version === version) return present.module;
      return (await load(name))?.module;
    },
    async close() {
      closed = true;
      for (const { retire } of loaded.values()) retire(true);
      loaded.clear();
    },
  };
}

interface Parts extends ExtensionsOptions {
  readonly extension: Extension;
  readonly limits: Limits;
  readonly turns: Slots;
  readonly ownConfig: JsonObject;
}

function loadScript(parts: Parts, locks: ReturnType<typeof createLocks>): Loaded {
  const { extension, limits, turns, ownConfig, services, log } = parts;
  const { kind } = extension;
  const start = (): ReturnType<typeof startScriptHost> =>
    startScriptHost({
      extension,
      command: parts.hostCommand(kind === 'python' ? 'python' : 'script', ownConfig),
      limits,
      log,
    });
  const pool: ScriptPool = createScriptPool(start);

  const run = async (method: string, call: Call): Promise<Reply> => {
    call.keepOpen();
    const release = await turns.take(limits.timeoutMs, call.signal);
    const holder = {};
    const ask = (question: Question): Promise<JsonObject> => answer(question, call, holder);
    const { clientAddress, signal } = call;
    const params = call.params as JsonObject;
    const started = orRelease(release, () =>
      pool.call({ method, params, clientAddress, config: ownConfig, signal, ask }),
    );
    void started.done.finally(() => {
      locks.releaseAll(holder);
      release();
    });
    return started.reply;
  };

  const answer = async (question: Question, call: Call, holder: object): Promise<JsonObject> => {
    if ('services' in question) return askServices(services, question.services, question.params, call);
    if ('lock' in question) await locks.acquire(question.lock, holder);
    else locks.release(question.unlock, holder);
    return {};
  };

  return { extension, module: { call: run }, retire: (now) => pool.close(now) };
}

function loadExecutable({ extension, limits, turns, ownConfig, log, grantAccess }: Parts): Loaded {
  const running = new Set<{ stop(error: BrokerError): void }>();

  const run = async (method: string, call: Call): Promise<Reply> => {
    call.keepOpen();
    const release = await turns.take(limits.timeoutMs, call.signal);
    const access = grantAccess();
    const { name } = extension;
    const { clientAddress, params } = call;
    const request = {
      module: name,
      method,
      data: dataOf(params),
      params,
      client_address: clientAddress,
      config: ownConfig,
    };
    const env = {
      ...access.env,
      BPBROKER_MODULE: name,
      BPBROKER_METHOD: method,
      BPBROKER_CLIENT_ADDRESS: clientAddress,
    };
    const input = `${JSON.stringify(request)}\n`;
    const started = orRelease(release, () => runExecutable({ extension, method, input, env, limits, log }));
    running.add(started);
    void started.done.finally(() => {
      running.delete(started);
      access.revoke();
      release();
    });
    return started.reply;
  };

  return {
    extension,
    module: { call: run },
    retire(now) {
      if (!now) return;
      for (const program of running) program.stop(new BrokerError('unavailable', 'The broker is stopping'));
    },
  };
}

/** Starts something that ends with the turn it was given, which must not be lost where it cannot be started. */
function orRelease<T>(release: () => void, start: () => T): T {
  try {
    return start();
  } catch (error) {
    release();
    throw error;
  }
}

/** The data of a request as an extension gets it: text that is the JSON of an object is that object. */
function dataOf(params: Call['params']): Json {
  const { data = null } = params;
  return typeof data === 'string' ? (parseObject(data) ?? data) : (data as Json);
}

/** An extension reads and writes the registry in the name of its caller, and needs no key for it. */
async function askServices(
  services: Module,
  method: string,
  params: JsonObject,
  caller: Call,
): Promise<JsonObject> {
  const reply = await services.call(method, {
    params,
    clientAddress: caller.clientAddress,
    signal: caller.signal,
    header: () => undefined,
    keepOpen: () => undefined,
  });
  const envelope: unknown = typeof reply.body === 'string' ? JSON.parse(reply.body) : undefined;
  if (!isObject(envelope))
    throw new BrokerError('invalid_request', `services.${method} cannot be used by an extension`);
  return envelope;
}

function withoutKey({ _access_key, ...rest }: JsonObject): JsonObject {
  return rest;
}
