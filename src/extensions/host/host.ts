import { pathToFileURL } from 'node:url';
import { createRegistry, type Registry } from '../../client/registry/registry.ts';
import { isObject, type JsonObject, parseObject } from '../../protocol/formats/data.ts';
import { parseJson } from '../../protocol/formats/json.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { type CallFrame, hostVariables, type ToHost } from '../../protocol/messages/extension-frames.ts';
import { sendAnswer } from './answer.ts';
import { createBrokerChannel, type BrokerChannel } from './broker-channel.ts';
import type { ExtensionMethod, ExtensionRequest } from './request.ts';
import { noTypeScript } from './typescript.ts';

type Methods = Readonly<Record<string, unknown>>;

/**
 * Runs in a process of its own: it loads one TypeScript or JavaScript extension, and runs its methods for the
 * broker (docs/extensions.md, "Hosts"). It ends with the broker.
 */
export async function runHost(): Promise<void> {
  const { file, name, mark } = takeVariables();
  const write = keepStandardOutput();
  const running = new Map<number, AbortController>();
  let methods: Methods | undefined;

  const channel = createBrokerChannel({
    mark,
    write,
    print,
    isRunning: (id) => running.has(id),
    onFrame(frame) {
      if (frame.type === 'call') void answer(frame);
      else running.get(frame.id)?.abort(new Error('The caller has gone'));
    },
  });

  const answer = async ({ id, ...call }: ToHost & { type: 'call' }): Promise<void> => {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const method = methodOf(name, methods ?? {}, call.method);
      const value = await method(requestOf({ line: channel, name, id, signal: controller.signal }, call));
      await sendAnswer(channel.send, id, value, controller.signal);
    } catch (error) {
      await channel.send({ type: 'fail', id, message: messageOf(error), ...statusOf(error) });
    } finally {
      running.delete(id);
      channel.printed(id);
    }
  };

  const failAll = async (message: string): Promise<void> => {
    await channel.send({ type: 'ending' });
    for (const id of running.keys()) await channel.send({ type: 'fail', id, message });
    process.exit(1);
  };

  // An error outside the extension's methods ends its process; the waiting caller gets its message.
  process.on('uncaughtException', (error) => {
    print(`${error instanceof Error ? error.stack : String(error)}\n`);
    // The call that asked has ended, and the present one has no part in it.
    if (channel.isLate(error)) return;
    void failAll(messageOf(error));
  });

  try {
    methods = (await import(pathToFileURL(file).href)) as Methods;
  } catch (error) {
    print(`${error instanceof Error ? error.stack : String(error)}\n`);
    await channel.send({ type: 'unloadable', message: loadProblem(file, error) });
    process.exit(1);
  }
  await channel.send({ type: 'ready' });
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (text: string) => channel.read(text));
  process.stdin.once('end', () => process.exit(0));
}

function takeVariables(): { file: string; name: string; mark: string } {
  const { file, name, mark, dir } = hostVariables;
  const taken = { file: takeVariable(file), name: takeVariable(name), mark: takeVariable(mark) };
  delete process.env[dir];
  return taken;
}

function takeVariable(variable: string): string {
  const value = process.env[variable];
  if (value === undefined) {
    throw new BrokerError(
      'usage',
      `The variable ${variable} is missing: a broker starts this program, not a person`,
    );
  }
  delete process.env[variable];
  return value;
}

/**
 * Writes to where the extension's own output goes. The text is lost if nobody reads it: the broker has gone, or
 * the extension has closed standard error.
 */
function print(text: string): void {
  try {
    process.stderr.write(text);
  } catch {
    // Deno throws here what other runtimes report as an event.
  }
}

/**
 * Reserves standard output for frames: the extension's own output goes to standard error, and so to the
 * broker's log. Once a frame cannot be written, the broker has gone, and the host ends.
 */
function keepStandardOutput(): (text: string, done: () => void) => void {
  const { stdout, stderr } = process;
  stdout.on('error', endUnread);
  stderr.on('error', () => undefined);
  const write = stdout.write.bind(stdout);
  stdout.write = stderr.write.bind(stderr);
  for (const method of ['log', 'info', 'debug'] as const)
    globalThis.console[method] = globalThis.console.error;
  return (text, done) => {
    try {
      write(text, (error) => (error ? endUnread() : done()));
    } catch {
      // As in `print`.
      endUnread();
    }
  };
}

function endUnread(): never {
  process.exit(1);
}

function methodOf(name: string, methods: Methods, method: string): ExtensionMethod {
  const found = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (typeof found === 'function') return found as ExtensionMethod;
  const known = Object.keys(methods).filter(
    (key) => typeof methods[key] === 'function' && !key.startsWith('_'),
  );
  const message = `Extension '${name}' has no method '${method}'; it has ${known.join(', ') || 'none'}`;
  throw new BrokerError('not_found', message);
}

interface Context {
  readonly line: BrokerChannel;
  /** The extension's name. */
  readonly name: string;
  /** The call's number. */
  readonly id: number;
  readonly signal: AbortSignal;
}

function requestOf({ line, name, id, signal }: Context, call: CallFrame): ExtensionRequest {
  const { method, params, clientAddress, config } = call;
  const { data = null } = params;
  const log = (level: 'debug' | 'info' | 'warn' | 'error') => (message: unknown) =>
    void line.send({ type: 'log', level, message: textOf(message) });
  return {
    method,
    data: typeof data === 'string' ? (parseObject(data) ?? data) : data,
    params,
    clientAddress,
    config,
    signal,
    log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    registry: registryOf(line, id),
    async withLock(lock, work) {
      const full = `${name} ${lock}`;
      await line.ask(id, { lock: full });
      try {
        return await work();
      } finally {
        await line.ask(id, { unlock: full });
      }
    },
  };
}

/** The text to log; the value may be of another type than the types ask for. */
function textOf(message: unknown): string {
  return typeof message === 'string' ? message : (JSON.stringify(message) ?? String(message));
}

function registryOf(channel: BrokerChannel, id: number): Registry {
  return createRegistry({
    call(_module, method, params, options) {
      const given = parseJson(JSON.stringify(params)) as JsonObject;
      return channel.ask(id, { services: method, params: given }, options?.signal);
    },
  });
}

function statusOf(error: unknown): { status?: number } {
  const status = isObject(error) ? (error as { status?: unknown }).status : undefined;
  const valid = typeof status === 'number' && Number.isInteger(status) && status >= 400 && status <= 599;
  return valid ? { status } : {};
}

function loadProblem(file: string, error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION' && /\.m?ts$/.test(file)) {
    return noTypeScript();
  }
  return messageOf(error);
}
