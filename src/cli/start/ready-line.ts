import type { BrokerAddress } from '../../broker/broker.ts';
import { DEFAULT_PORT, hostOnItself } from '../../protocol/addresses/address.ts';
import { isLoopback } from '../../runtime/network/interfaces.ts';
import { addressText } from '../doctor/subject.ts';
import type { BrokerFile } from '../options/broker-file.ts';
import type { LogFormat } from '../terminal/log.ts';
import { isTerminal, writeError } from '../terminal/terminal.ts';

export interface Ready extends BrokerFile {
  readonly address: BrokerAddress;
  /** `api.listen_ip`. */
  readonly listenIp: string;
  readonly format: LogFormat;
  /** Whether the broker has begun a new registry. */
  readonly isNew: boolean;
}

/** The output of a broker once it is ready. */
export interface Announcement {
  readonly format: LogFormat;
  /** Its addresses: the one line that scripts wait for. */
  readonly line: string;
  /** For a person: what to type next. */
  readonly steps: string;
}

/** A broker that runs in the background. */
export interface Detached {
  readonly pid: number;
  /** The path of its log. */
  readonly log: string;
}

export function announce(ready: Ready): Announcement {
  const { address, listenIp, format } = ready;
  const line = format === 'json' ? asJson(ready) : asText(ready);
  return { format, line, steps: nextSteps(address, listenIp) };
}

/** Reports that the broker answers, and where, whatever the log's level is. */
export async function sayAnnouncement(
  { format, line, steps }: Announcement,
  detached?: Detached,
): Promise<void> {
  writeError(`${line}\n`);
  if (detached) writeError(`${format === 'json' ? detachedJson(detached) : detachedText(detached)}\n`);
  if (format === 'text' && (await isTerminal(2))) writeError(steps);
}

function detachedText({ pid, log }: Detached): string {
  const end = process.platform === 'win32' ? `taskkill /f /pid ${pid}` : `kill ${pid}`;
  return `in the background: process ${pid}, which '${end}' stops; its log is ${log}`;
}

function detachedJson({ pid, log }: Detached): string {
  const time = new Date().toISOString();
  return JSON.stringify({ time, level: 'info', message: 'in the background', pid, log_file: log });
}

function asText({ address, file, isNew, home, isGiven }: Ready): string {
  const { url, udpPort, fingerprint, keyed } = address;
  return [
    `ready: ${url} (${keyed ? 'keyed ' : ''}discovery on UDP port ${udpPort}, identity sha256:${fingerprint})`,
    ...(isNew ? [`a new registry in ${file}`] : []),
    ...(isGiven || !home.fallbackFor
      ? []
      : [`configuration in ${file} because ${home.fallbackFor} cannot be written`]),
  ].join(', ');
}

function asJson({ address, file, isNew, home, isGiven }: Ready): string {
  return JSON.stringify({
    time: new Date().toISOString(),
    level: 'info',
    message: 'ready',
    url: address.url,
    udp_port: address.udpPort,
    fingerprint: `sha256:${address.fingerprint}`,
    keyed: address.keyed,
    file,
    new_registry: isNew,
    ...(isGiven || !home.fallbackFor ? {} : { not_writable: home.fallbackFor }),
  });
}

/** What a person may type next, in another terminal. */
function nextSteps({ port, keyed }: BrokerAddress, listenIp: string): string {
  // When npm runs them in a clone, the programs are found through npx.
  const program = process.env['npm_command'] === undefined ? 'bpbroker' : 'npx bpbroker';
  const broker = addressText({ host: hostOnItself(listenIp), port });
  const search = `${port === DEFAULT_PORT ? '' : ` --port ${port}`}${keyed ? ' --discover-key-file FILE' : ''}`;
  const anywhere = [
    'From any host of this network, with no address known:',
    `  ${program} discover --name foo${search}`,
    `  ${program} service get --name foo${search}`,
  ];
  return [
    'From another terminal on this host:',
    `  ${program} --bpbroker ${broker} ping --data hello`,
    `  ${program} --bpbroker ${broker} service register --name foo --data bar`,
    // Loopback is of this host alone.
    ...(isLoopback(listenIp) ? [] : anywhere),
    '',
  ].join('\n');
}
