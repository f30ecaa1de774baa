import type { Readable } from 'node:stream';
import { BrokerError } from '../../protocol/errors.ts';
import { BYTES_TYPE, JSON_TYPE, TEXT_TYPE } from '../../protocol/messages/extension-frames.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { Reply } from '../../modules/module.ts';
import { type Body, createBody } from '../body.ts';
import { type Child, type ExitStatus, startChild } from './child.ts';
import { guardCall } from './call-limits.ts';
import type { Limits } from '../limits.ts';
import type { Extension } from '../lookup.ts';
import { createOutputLog } from '../output-log.ts';

export interface ExecutableCall {
  readonly extension: Extension;
  readonly method: string;
  /** The request's id in the lines of the log about the call. */
  readonly requestId: string;
  /** Its standard input. */
  readonly input: string;
  /** More variables for its environment, besides the broker's. */
  readonly env: Readonly<Record<string, string>>;
  readonly limits: Limits;
  readonly log: Logger;
}

export interface RunningExecutable {
  /**
   * Its answer: its output, whole if it ends soon, else as it arrives. Rejects with BrokerError
   * `extension_failed`, with its standard error as message, or with the error of a limit.
   */
  readonly reply: Promise<Reply>;
  /** Resolves when it has ended in any way. */
  readonly done: Promise<void>;
  stop(error: BrokerError): void;
}

/**
 * How long a program's first output is held back, in milliseconds. A failure until then is reported as an
 * error.
 */
const SETTLE_MS = 200;
const SETTLE_BYTES = 64 * 1024;

/** Runs a program of any language for one call: the method is its argument, the request its standard input. */
export function runExecutable({
  extension,
  method,
  requestId,
  input,
  env,
  limits,
  log,
}: ExecutableCall): RunningExecutable {
  const { name, file, dir } = extension;
  const output = createOutputLog(name, log);
  output.begin(requestId);
  const child = startChild({
    name,
    command: [...interpreterOf(file), file, method],
    cwd: dir,
    env,
    onStderr(bytes) {
      guard.printed(bytes.byteLength);
      output.write(bytes);
    },
  });
  let stopped: BrokerError | undefined;
  const stop = (error: BrokerError): void => {
    stopped ??= error;
    child.kill();
  };
  const guard = guardCall(name, child.pid, limits, stop);
  child.stdin.end(input);

  const outcome = child.ended.then((ending) => {
    guard.stop();
    output.flush();
    return stopped ?? failureOf(name, ending, output.tail());
  });
  const reply = answerOf(child, outcome, (bytes) => guard.printed(bytes));
  // The caller gets this error with the answer.
  reply.catch(() => undefined);
  return {
    reply,
    done: outcome.then(
      () => undefined,
      () => undefined,
    ),
    stop,
  };
}

/** Windows runs scripts through their interpreters; elsewhere the system reads the file's first line. */
function interpreterOf(file: string): readonly string[] {
  if (process.platform !== 'win32') return [];
  if (/\.ps1$/i.test(file)) return ['powershell.exe', '-NoProfile', '-ExecutionPolicy', 'Bypass', '-File'];
  return /\.(?:cmd|bat)$/i.test(file) ? ['cmd.exe', '/d', '/c'] : [];
}

function failureOf(name: string, { code, signal }: ExitStatus, stderr: string): BrokerError | undefined {
  if (code === 0) return undefined;
  const how = signal === null ? `ended with exit code ${code}` : `was killed (${signal})`;
  return new BrokerError('extension_failed', stderr === '' ? `Extension '${name}' ${how}` : stderr);
}

async function answerOf(
  child: Child,
  outcome: Promise<BrokerError | undefined>,
  count: (bytes: number) => void,
): Promise<Reply> {
  const { stdout } = child;
  const output = holdBack(stdout, count);
  const ended = await Promise.race([outcome.then((error) => ({ error })), output.settled]);
  const first = output.held();
  if (ended) {
    if (ended.error) throw ended.error;
    return { contentType: typeOf(first), body: new Uint8Array(first) };
  }
  const body = createBody({
    onRoom: () => stdout.resume(),
    // As with a shell pipe whose reader has gone, the program's next write fails.
    onAbandoned: () => stdout.destroy(),
  });
  body.push(first);
  output.handOn(body);
  outcome.then(
    (error) => (error ? body.fail(error) : body.end()),
    (error: unknown) => body.fail(error as BrokerError),
  );
  return { contentType: isText(first) ? TEXT_TYPE : BYTES_TYPE, body: body.parts };
}

interface HeldOutput {
  /** Resolves when the output must not be held back any longer, because of its time or its size. */
  readonly settled: Promise<undefined>;
  /** The output that has been held back. */
  held(): Buffer;
  /** Passes on all further output. */
  handOn(body: Body): void;
}

function holdBack(stdout: Readable, count: (bytes: number) => void): HeldOutput {
  const chunks: Buffer[] = [];
  let size = 0;
  let body: Body | undefined;
  let timer: NodeJS.Timeout | undefined;
  let settle!: (nothing: undefined) => void;
  const settled = new Promise<undefined>((resolve) => {
    settle = resolve;
  });
  stdout.on('data', (chunk: Buffer) => {
    count(chunk.byteLength);
    if (body) {
      if (!body.push(chunk)) stdout.pause();
      return;
    }
    chunks.push(chunk);
    size += chunk.byteLength;
    timer ??= setTimeout(settle, SETTLE_MS, undefined);
    if (size >= SETTLE_BYTES) settle(undefined);
  });
  return {
    settled,
    held() {
      clearTimeout(timer);
      return Buffer.concat(chunks);
    },
    handOn(next) {
      body = next;
    },
  };
}

/** Guesses the content type of a program's output: JSON, other text, or bytes. */
function typeOf(bytes: Buffer): string {
  if (!isText(bytes)) return BYTES_TYPE;
  const text = bytes.toString('utf8');
  if (!/^\s*[[{]/.test(text)) return TEXT_TYPE;
  try {
    JSON.parse(text);
    return JSON_TYPE;
  } catch {
    return TEXT_TYPE;
  }
}

function isText(bytes: Buffer): boolean {
  try {
    // The part may end within a character.
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return !bytes.includes(0);
  } catch {
    return false;
  }
}
