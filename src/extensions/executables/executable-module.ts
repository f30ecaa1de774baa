import { type Json, parseObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Call, Reply } from '../../modules/module.ts';
import { runExecutable, type RunningExecutable } from './executable.ts';
import { type LoadedExtension, orRelease, type ModuleParts } from '../loaded-extension.ts';

/** The module of an executable: a process for each call. */
export function loadExecutable({
  extension,
  limits,
  semaphore,
  ownConfig,
  log,
  grantAccess,
}: ModuleParts): LoadedExtension {
  const running = new Set<RunningExecutable>();

  const run = async (method: string, call: Call): Promise<Reply> => {
    call.keepOpen();
    const endTurn = await semaphore.take(limits.timeoutMs, call.signal);
    const access = grantAccess();
    const release = (): void => {
      access.revoke();
      endTurn();
    };
    const { name } = extension;
    const { clientAddress, params, requestId } = call;
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
    const started = orRelease(release, () =>
      runExecutable({ extension, method, requestId, input, env, limits, log }),
    );
    running.add(started);
    void started.done.finally(() => {
      running.delete(started);
      release();
    });
    return started.reply;
  };

  return {
    extension,
    module: { call: run },
    async retire(now) {
      if (!now) return;
      const all = [...running];
      for (const program of all) program.stop(new BrokerError('unavailable', 'The broker is stopping'));
      await Promise.all(all.map(({ done }) => done));
    },
  };
}

/**
 * The data of a request in the form that an extension gets: text that is the JSON of an object becomes that
 * object.
 */
function dataOf(params: Call['params']): Json {
  const { data = null } = params;
  return typeof data === 'string' ? (parseObject(data) ?? data) : (data as Json);
}
