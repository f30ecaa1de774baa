import { type Broker, openBroker } from '../../broker/broker.ts';
import { parsePort } from '../../config/layers.ts';
import { scriptHostCommand } from '../../extensions/host/command.ts';
import type { Config, LogLevel } from '../../config/schema.ts';
import type { Json, JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import { createNotify, takeNotifyVariables } from '../../os-service/linux/notify.ts';
import { ipVersion } from '../../protocol/addresses/ip.ts';
import { checkReadable, newBrokerFile } from '../options/broker-file.ts';
import type { OptionName } from '../options/options.ts';
import type { Arguments, Run } from '../command.ts';
import { createLog, type LogFormat } from '../terminal/log.ts';
import { takeReadyFile, writeReadyFile } from '../start/ready-file.ts';
import { type Announcement, announce, sayAnnouncement } from '../start/ready-line.ts';
import { isTerminal, lostLines } from '../terminal/terminal.ts';
import { build } from '../programs/version-line.ts';
import { handleSignals, logProblems } from '../start/process-events.ts';
import { holderIn } from '../../store/file/lock.ts';

export const run: Run = async (args) => {
  if (args.flag('detach')) {
    const { startDetached } = await import('../start/detach.ts');
    return startDetached(args);
  }
  for (const option of ['log-file', 'timeout'] as const)
    if (args.flag(option))
      throw new BrokerError(
        'usage',
        `Option --${option} has no meaning without --detach; leave it out, or add --detach`,
      );
  return runBroker(args);
};

async function runBroker(args: Arguments): Promise<number | void> {
  const readyFile = takeReadyFile(process.env);
  const format = await formatOf(args.text('log-format'));
  const givenLevel = args.text('log-level') as LogLevel | undefined;
  const log = createLog(format, givenLevel ?? 'info');
  logProblems(log);
  const place = newBrokerFile(args);
  const signals = handleSignals(log);
  const notify = createNotify({
    env: takeNotifyVariables(process.env),
    onError: (error) => log.error('the service manager could not be notified', { error }),
  });
  const setLevel = (options: Config): void => log.setLevel(givenLevel ?? options._global.log_level ?? 'info');
  const broker = await openBroker({
    file: place.file,
    config: { api: apiOptions(args) },
    extensionDir: place.home.lib,
    backupDir: place.backups,
    scriptHost: () => scriptHostCommand(ownHost),
    onAlive: () => void notify.watchdog(),
    checkEveryMs: notify.watchdogMs === undefined ? undefined : notify.watchdogMs / 3,
    onOptions(options) {
      setLevel(options);
      log.info('starting', { ...build, pid: process.pid, file: place.file });
    },
    log,
    lostLines,
    auditToLog: log.audit,
  }).catch((error: unknown) => {
    throw alreadyRuns(error, place.file);
  });
  try {
    const address = await broker.listen();
    const answers = `answers on ${address.url}`;
    const { listen_ip: listenIp } = broker.config.api;
    const announcement = announce({ ...place, address, listenIp, format, isNew: broker.isNew });
    await sayAnnouncement(announcement);
    if (readyFile !== undefined) tellStarter(readyFile, announcement, log);
    if (process.pid === 1 && process.platform !== 'win32') log.warn(AS_FIRST_PROCESS);
    await notify.ready(answers);
    signals.onReload(async () => {
      await notify.reloading();
      await reload(broker, log);
      setLevel(broker.config);
      await notify.ready(answers);
    });
    log.info('stopping', { signal: await signals.stopped });
    void notify.stopping();
    const code = await close(broker, log);
    await notify.delivered();
    return code;
  } catch (error) {
    await close(broker, log);
    throw error;
  }
}

/** `auto`: text for a person at a terminal, JSON for any other reader of the log. */
async function formatOf(given = 'text'): Promise<LogFormat> {
  if (given === 'auto') return (await isTerminal(2)) ? 'text' : 'json';
  return given as LogFormat;
}

/** A script that starts a broker twice must be able to tell that from a broker that cannot start. */
function alreadyRuns(error: unknown, file: string): unknown {
  const holder = holderIn(error);
  if (holder === undefined) return error;
  const message = `A broker${holder} already runs with ${file}; use it, or stop it first`;
  return new BrokerError('already_exists', message, { cause: error });
}

/** Notifies the command that started this broker with `--detach`, if it still waits. */
function tellStarter(file: string, announcement: Announcement, log: Logger): void {
  try {
    writeReadyFile(file, announcement);
  } catch (error) {
    log.warn('the command that has started this broker could not be notified that it is ready', {
      error: messageOf(error),
    });
  }
}

/** Process 1 inherits every process whose parent has ended, and no runtime of ours can wait for those. */
const AS_FIRST_PROCESS =
  'the broker is process 1 here: processes that an extension leaves running become zombies when they end; ' +
  'run the container with an init (docker run --init)';

/** The executable is its own host for scripts: see `commands/extension-host.ts`. */
const ownHost = [process.execPath, 'extension-host'];

function apiOptions(args: Arguments): JsonObject {
  const api: Record<string, Json> = {};
  const port = args.text('listen-port');
  if (port !== undefined) api['listen_port'] = parsePort(port, args.label('listen-port'));
  const ip = args.text('listen-ip');
  if (ip !== undefined && ip !== '' && ipVersion(ip) === 0)
    throw new BrokerError(
      'usage',
      `Invalid ${args.label('listen-ip')} '${ip}': expected an IP address of this host, or nothing for all`,
    );
  const texts = { listen_ip: ip, ssl_cert: fileOf(args, 'ssl-cert'), ssl_key: fileOf(args, 'ssl-key') };
  for (const [option, value] of Object.entries(texts)) if (value !== undefined) api[option] = value;
  return api;
}

/** The file that an option names, which must be there: said before anything is opened, by the option's name. */
function fileOf(args: Arguments, name: OptionName): string | undefined {
  const file = args.text(name);
  if (file) checkReadable(file, args.label(name));
  return file;
}

async function reload(broker: Broker, log: Logger): Promise<void> {
  try {
    await broker.reload();
  } catch (error) {
    log.error('the options were not taken over; the old ones remain in force', { error: messageOf(error) });
  }
}

/** Closes the broker and returns the exit code. */
async function close(broker: Broker, log: Logger): Promise<number> {
  try {
    await broker.close();
    return 0;
  } catch (error) {
    // The message says what became of acknowledged writes.
    log.error('could not close cleanly', { error: messageOf(error) });
    return 1;
  }
}
