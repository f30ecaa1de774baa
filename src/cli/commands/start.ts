import path from 'node:path';
import { type Broker, type BrokerAddress, openBroker } from '../../broker/broker.ts';
import { parsePort } from '../../config/layers.ts';
import { backupsFor, findHome } from '../../config/paths.ts';
import { scriptHostCommand } from '../../extension-host/command.ts';
import type { Json, JsonObject } from '../../protocol/data.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import { createNotify, takeNotifyVariables } from '../../os-service/notify.ts';
import type { Run } from '../command.ts';
import { createLog, type LogFormat, type LogLevel } from '../log.ts';
import type { Arguments } from '../command.ts';
import { isTerminal, writeError } from '../terminal.ts';

export const run: Run = async (args) => {
  const log = createLog(
    (args.text('log-format') ?? 'text') as LogFormat,
    (args.text('log-level') ?? 'info') as LogLevel,
  );
  const home = findHome();
  const given = args.text('config');
  const file = given === undefined ? home.configFile : path.resolve(given);
  const stopped = stopSignal();
  const notify = createNotify({
    env: takeNotifyVariables(process.env),
    onError: (error) => log.error('the service manager could not be told', { error }),
  });
  const broker = await openBroker({
    file,
    config: { api: apiOptions(args) },
    extensionDir: home.lib,
    backupDir: backupsFor(file),
    scriptHost: () => scriptHostCommand(ownHost),
    onAlive: () => void notify.watchdog(),
    checkEveryMs: notify.watchdogMs === undefined ? undefined : notify.watchdogMs / 3,
    log,
  });
  try {
    const address = await broker.listen();
    writeError(
      `${readyLine(address)}${given === undefined && home.fallbackFor ? fallbackNote(file, home.fallbackFor) : ''}\n`,
    );
    if (await isTerminal(2)) writeError(nextSteps(address));
    if (process.pid === 1 && process.platform !== 'win32') log.warn(AS_FIRST_PROCESS);
    await notify.ready(`answers on ${address.url}`);
    log.info('stopping', { signal: await stopped });
    void notify.stopping();
    const code = await close(broker, log);
    await notify.delivered();
    return code;
  } catch (error) {
    await close(broker, log);
    throw error;
  }
};

/** Whoever is process 1 inherits every process whose parent has ended, and no runtime of ours can wait for those. */
const AS_FIRST_PROCESS =
  'the broker is process 1 here: what an extension leaves running stays a zombie once it has ended; ' +
  'run the container with an init (docker run --init)';

/** The executable is its own host for scripts: see `commands/extension-host.ts`. */
const ownHost = [process.execPath, 'extension-host'];

function apiOptions(args: Arguments): JsonObject {
  const api: Record<string, Json> = {};
  const port = args.text('listen-port');
  if (port !== undefined) api['listen_port'] = parsePort(port, '--listen-port');
  const texts = {
    listen_ip: args.text('listen-ip'),
    ssl_cert: args.text('ssl-cert'),
    ssl_key: args.text('ssl-key'),
  };
  for (const [option, value] of Object.entries(texts)) if (value !== undefined) api[option] = value;
  return api;
}

/** The first SIGINT or SIGTERM; a second one ends the process at once, as if it were not handled. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal));
  });
}

/** Closes the broker and gives the exit code. */
async function close(broker: Broker, log: Logger): Promise<number> {
  try {
    await broker.close();
    return 0;
  } catch (error) {
    log.error('could not close cleanly; what was acknowledged is in the journal', {
      error: messageOf(error),
    });
    return 1;
  }
}

function readyLine({ url, udpPort, fingerprint, keyed }: BrokerAddress): string {
  return `ready: ${url} (${keyed ? 'keyed ' : ''}discovery on UDP port ${udpPort}, identity sha256:${fingerprint})`;
}

function fallbackNote(file: string, instead: string): string {
  return `, configuration in ${file} because ${instead} cannot be written`;
}

/** What a person may type next, in another terminal. */
function nextSteps({ port, keyed }: BrokerAddress): string {
  // Run by npm in a clone, the programs are found through npx.
  const program = process.env['npm_command'] === undefined ? 'bpbroker' : 'npx bpbroker';
  const broker = port === 20_443 ? '127.0.0.1' : `127.0.0.1:${port}`;
  const key = keyed ? ' --discover-key-file FILE' : '';
  return [
    'From another terminal on this host:',
    `  ${program} --bpbroker ${broker} ping --data hello`,
    `  ${program} --bpbroker ${broker} service register --name foo --data bar`,
    'From any host of this network, with no address known:',
    `  ${program} discover --name foo${key}`,
    `  ${program} service get --name foo${key}`,
    '',
  ].join('\n');
}
