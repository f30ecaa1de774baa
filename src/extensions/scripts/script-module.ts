import type { JsonObject } from '../../protocol/formats/data.ts';
import type { Question } from '../../protocol/messages/extension-frames.ts';
import type { Call, Reply } from '../../modules/module.ts';
import { askServices } from '../../modules/services/call-services.ts';
import { type LoadedExtension, orRelease, type ModuleParts } from '../loaded-extension.ts';
import type { Locks } from '../locks.ts';
import type { Answer } from './asks.ts';
import { type ScriptHost, startScriptHost } from './script-host.ts';
import { createScriptPool } from './script-pool.ts';

/** The module of a script: its methods run in warm hosts, one call at a time in each. */
export function loadScript(parts: ModuleParts, locks: Locks): LoadedExtension {
  const { extension, limits, semaphore, ownConfig, services, log } = parts;
  const { kind } = extension;
  const start = (): ScriptHost =>
    startScriptHost({
      extension,
      command: parts.hostCommand(kind === 'python' ? 'python' : 'script', ownConfig),
      limits,
      log,
    });
  const pool = createScriptPool(start);

  const run = async (method: string, call: Call): Promise<Reply> => {
    call.keepOpen();
    const release = await semaphore.take(limits.timeoutMs, call.signal);
    const holder = {};
    const { clientAddress, requestId, signal } = call;
    const params = call.params as JsonObject;
    const started = orRelease(release, () =>
      pool.call({
        method,
        params,
        clientAddress,
        config: ownConfig,
        requestId,
        signal,
        hasCallerGone: () => call.hasCallerGone ?? true,
        ask: (question, until) => answer(question, call, { holder, until }),
      }),
    );
    void started.done.finally(() => {
      locks.releaseAll(holder);
      release();
    });
    return started.reply;
  };

  const answer = async (question: Question, call: Call, { holder, until }: Asked): Promise<Answer> => {
    // An extension reads and writes the registry in the name of its caller, and needs no key for it.
    if ('services' in question) {
      const signal = AbortSignal.any([call.signal, until]);
      const reply = await askServices(services, question.services, question.params, call, signal);
      return services.isSafe?.(question.services) ? readUntil(reply, until) : reply;
    }
    if ('unlock' in question) {
      locks.release(question.unlock, holder);
      return { body: '{}' };
    }
    await locks.acquire(question.lock, holder, until);
    return readUntil({ body: '{}' }, until);
  };

  return { extension, module: { call: run }, retire: (now) => pool.close(now) };
}

/**
 * What a call has read is for this call alone: after it, long answers would be made for nobody. Its locks are
 * released with its end.
 */
function readUntil(reply: Reply, until: AbortSignal): Answer {
  return {
    get body() {
      until.throwIfAborted();
      return reply.body;
    },
  };
}

interface Asked {
  /** The holder of the call's locks. */
  readonly holder: object;
  /** Aborted when the extension no longer waits for the answer. */
  readonly until: AbortSignal;
}
