/** The broker as a process: started, called over HTTPS, stopped. Needs no test runner. */
import { type ChildProcess, spawn } from 'node:child_process';
import { Agent, request } from 'node:https';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cleanEnv } from '../support/programs/clean-env.ts';

/** What the registry holds: data and revision, as JSON, by name. */
export type State = Readonly<Record<string, string>>;

export interface Answer {
  /** 0: no answer came, so what became of the call is unknown. */
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: {
    readonly success?: boolean;
    readonly code?: string;
    readonly message?: string;
    readonly data?: unknown;
    readonly revision?: number;
  };
}

export interface Broker {
  readonly child: ChildProcess;
  readonly port: number;
  printed(): string;
  readonly ended: Promise<Ending>;
  isOver(): boolean;
  call(method: string, body: object, timeoutMs?: number): Promise<Answer>;
  /** GET of a path such as `/readyz`. */
  look(at: string, timeoutMs?: number): Promise<Answer>;
  put(name: string, data: object): Promise<Answer>;
  /**
   * All entries, read page by page.
   * @throws Error when it does not answer with 200.
   */
  list(pageSize?: number): Promise<State>;
  /** SIGTERM; SIGKILL after `timeoutMs`. */
  stop(timeoutMs?: number): Promise<Ending>;
  kill(): Promise<void>;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** It had to be killed because it did not end. */
  readonly hung?: boolean;
}

export interface Settings {
  readonly env?: Readonly<Record<string, string>>;
  /** Put before the command, as a tracer is. */
  readonly wrap?: readonly string[];
  /** Until the ready line; default 20,000. */
  readonly timeoutMs?: number;
}

/** A start that came to no ready line. */
export interface Refusal {
  readonly refused: string;
  readonly ending: Ending;
}

/** Starts a broker on the file and waits for its ready line, its end, or the timeout (then it is killed: `hung`). */
export async function start(
  command: readonly string[],
  file: string,
  { env, wrap = [], timeoutMs = 20_000 }: Settings = {},
): Promise<Broker | Refusal> {
  const home = path.dirname(file);
  const [program = '', ...args] = wrap.concat(command, 'start', '--config', file);
  const child = spawn(program, args, {
    cwd: '/',
    env: cleanEnv(`${home}.home`, env),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let printed = '';
  const { promise: isReady, resolve: ready } = Promise.withResolvers<number>();
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (printed.length < 1_000_000) printed += text;
    const found = /^ready: https:\/\/\S+?:(\d+) /m.exec(printed)?.[1];
    if (found !== undefined) ready(Number(found));
  });
  const ended = new Promise<Ending>((resolve) => {
    child.once('error', () => resolve({ code: 127, signal: null }));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  let over = false;
  void ended.then(() => (over = true));
  const timer = new AbortController();
  const late = sleep(timeoutMs, 'late' as const, { signal: timer.signal }).catch(() => 'late' as const);
  const first = await Promise.race([isReady, ended, late]);
  timer.abort();
  if (typeof first === 'object') return { refused: printed, ending: first };
  if (first === 'late') {
    child.kill('SIGKILL');
    return { refused: printed, ending: { ...(await ended), hung: true } };
  }
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: false, maxSockets: 512 });
  const looking = new Agent({ keepAlive: false, rejectUnauthorized: false });
  const call = async (method: string, body: object, timeout = 15_000): Promise<Answer> =>
    await ask(agent, { port: first }, `/services/${method}`, body, timeout);
  return {
    child,
    port: first,
    printed: () => printed,
    ended,
    isOver: () => over,
    call,
    look: async (at, timeout = 15_000) => await ask(looking, { port: first }, at, undefined, timeout),
    put: async (name, data) => await call('Replace', { name, data }),
    list: async (pageSize = 1000) => await listAll(call, pageSize),
    async stop(timeout = 15_000) {
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), timeout);
      const end = await ended;
      clearTimeout(killer);
      agent.destroy();
      return end.signal === 'SIGKILL' ? { ...end, hung: true } : end;
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
      agent.destroy();
    },
  };
}

/** As `start`, where anything but a ready line is an error. */
export async function started(
  command: readonly string[],
  file: string,
  settings: Settings = {},
): Promise<Broker> {
  const broker = await start(command, file, settings);
  if ('refused' in broker) throw new Error(`No ready line: ${broker.refused}`);
  return broker;
}

async function listAll(call: Broker['call'], limit: number): Promise<State> {
  const state: Record<string, string> = {};
  let after: string | undefined;
  do {
    const { status, body } = await call('List', { limit, ...(after === undefined ? {} : { after }) });
    if (status !== 200) throw new Error(`List was answered ${status}: ${body.message ?? ''}`);
    const page = body.data as {
      entries: { name: string; revision: number; data: object }[];
      next?: string | null;
    };
    for (const { name, revision, data } of page.entries) state[name] = JSON.stringify([revision, data]);
    after = page.next ?? undefined;
  } while (after !== undefined);
  return state;
}

/** One request to a broker; default host: 127.0.0.1. What fails is an answer with status 0. */
export function ask(
  agent: Agent,
  { host = '127.0.0.1', port }: { readonly host?: string; readonly port: number },
  at: string,
  body: object | undefined,
  timeoutMs: number,
): Promise<Answer> {
  return new Promise((resolve) => {
    // Of the whole call: a socket that is waited for has no timeout of its own.
    const timer = setTimeout(() => sent.destroy(new Error('no answer in time')), timeoutMs);
    const settle = (answer: Answer): void => {
      clearTimeout(timer);
      resolve(answer);
    };
    const none = (why: string): void => settle({ status: 0, retryAfter: undefined, body: { message: why } });
    const sent = request(
      {
        agent,
        host,
        port,
        path: at,
        method: body === undefined ? 'GET' : 'POST',
        headers: { 'content-type': 'application/json' },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.once('error', (error) => none(error.message));
        response.once('end', () => {
          try {
            const retryAfter = response.headers['retry-after'];
            settle({
              status: response.statusCode ?? 0,
              retryAfter,
              body: JSON.parse(text) as Answer['body'],
            });
          } catch {
            none('the answer is no JSON');
          }
        });
      },
    );
    sent.once('error', (error) => none(error.message));
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
