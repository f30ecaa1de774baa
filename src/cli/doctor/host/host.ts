import { access, constants, stat } from 'node:fs/promises';
import path from 'node:path';
import { globalRoot, homeAt } from '../../../config/paths.ts';
import { hostOnItself, type HostPort } from '../../../protocol/addresses/address.ts';
import { messageOf } from '../../../protocol/errors.ts';
import { shellWord } from '../../../protocol/formats/shell-word.ts';
import { systemCode } from '../../../protocol/system-errors.ts';
import { brokerFile, checkReadable } from '../../options/broker-file.ts';
import type { Arguments } from '../../command.ts';
import { type Check, sentence } from '../report.ts';
import { resolveWithin } from '../../../protocol/timeout.ts';

/** This host's own broker. */
export interface Host {
  readonly checks: readonly Check[];
  /** Its configuration file, if there is one. */
  readonly file?: string;
  /** The port that its configuration names. */
  readonly port?: number;
  /** The address that its configuration has it listen on; `''`: all. */
  readonly listenIp?: string;
  /** Whether its configuration has a discovery key. */
  readonly isKeyed?: boolean;
  /** Whether a broker runs on that file; `undefined` when that is unknown. */
  readonly isRunning?: boolean;
}

/** Where this host reaches its own broker, by its configuration. Port 0 there picks any. */
export function ownAddress({ port = 0, listenIp = '' }: Host, asked: number): HostPort {
  return { host: hostOnItself(listenIp), port: port === 0 ? asked : port };
}

/** With fewer free bytes, a broker can hardly write any more. */
const FULL_BYTES = 1024 * 1024;
/** With fewer free bytes, somebody should make room; the broker's self-check reports that too. */
const LOW_BYTES = 100 * 1024 * 1024;

/**
 * Looks for the configuration of a broker on this host, and at the broker's needs, within a time limit. It
 * changes nothing.
 */
export async function examineHost(args: Arguments, ms: number): Promise<Host> {
  // A hanging disk does not answer.
  const file = await resolveWithin(ms, findFile(args), { why: 'its disk does not answer' });
  if (typeof file !== 'string') {
    const none = { status: 'skip', says: "no broker's configuration here" } as const;
    return {
      checks: [
        { id: 'host_config', status: 'skip', says: file.why },
        { id: 'host_running', ...none },
        { id: 'host_disk', ...none },
      ],
    };
  }
  const [config, running, disk] = await Promise.all([
    resolveWithin(ms, examineConfig(file), { facts: {}, check: late('host_config') }),
    resolveWithin(ms, examineLock(file), { facts: {}, check: late('host_running') }),
    resolveWithin(ms, examineDisk(file), late('host_disk')),
  ]);
  return { file, ...config.facts, ...running.facts, checks: [config.check, running.check, disk] };
}

function late(id: Check['id']): Check {
  return { id, status: 'skip', says: 'it took too long: a large registry, or a disk that does not answer' };
}

async function findFile(args: Arguments): Promise<string | { why: string }> {
  const { file, isGiven } = brokerFile(args);
  const files = isGiven ? [file] : [homeAt(globalRoot()).configFile, file];
  for (const one of files) {
    try {
      await stat(one);
      return one;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR')
        return { why: `${one} cannot be looked at by this user: ${messageOf(error)}` };
      if (isGiven) checkReadable(one, args.label('config'));
    }
  }
  return { why: `no broker's configuration here (${files.at(-1)})` };
}

async function examineConfig(
  file: string,
): Promise<{ check: Check; facts: Pick<Host, 'port' | 'listenIp' | 'isKeyed'> }> {
  const { loadConfiguration } = await import('../../../broker/opening/configuration.ts');
  try {
    const { effective, globalProblem } = await loadConfiguration(file, undefined);
    const { listen_port: port, listen_ip: ip } = effective.api;
    const key = effective['discover']?.['_access_key'];
    const isKeyed = [key ?? []].flat().some((one) => one !== '');
    const facts = { port, listenIp: ip, isKeyed };
    const own = `${file}: port ${port}${ip === '' ? '' : ` on ${ip}`}, ${isKeyed ? 'a' : 'no'} discovery key`;
    const says = globalProblem === undefined ? own : `${own}; ${globalProblem}`;
    return {
      facts,
      check: {
        id: 'host_config',
        status: globalProblem === undefined ? 'ok' : 'warn',
        says,
        facts: { file, listen_port: port, listen_ip: ip, has_discovery_key: isKeyed },
      },
    };
  } catch (error) {
    const code = systemCode(error);
    const says = messageOf(error);
    if (code === 'EACCES' || code === 'EPERM')
      return { facts: {}, check: { id: 'host_config', status: 'skip', says } };
    return {
      facts: {},
      check: {
        id: 'host_config',
        status: 'fail',
        says,
        facts: { file },
        problem: {
          cause: 'config_unusable',
          message: sentence(`The configuration of this host's broker cannot be used: ${says}`),
          advice: 'Correct the file, then start the broker.',
          where: 'here',
        },
      },
    };
  }
}

async function examineLock(file: string): Promise<{ check: Check; facts: Pick<Host, 'isRunning'> }> {
  const { lockHolder } = await import('../../../store/file/lock.ts');
  try {
    const pid = await lockHolder(file);
    const isRunning = pid !== undefined;
    const says = isRunning ? `a broker runs here${pid === 0 ? '' : ` (pid ${pid})`}` : 'no broker runs on it';
    return {
      facts: { isRunning },
      check: {
        id: 'host_running',
        status: isRunning ? 'ok' : 'warn',
        says,
        facts: { pid: isRunning && pid !== 0 ? pid : null },
      },
    };
  } catch (error) {
    return { facts: {}, check: { id: 'host_running', status: 'skip', says: messageOf(error) } };
  }
}

async function examineDisk(file: string): Promise<Check> {
  const { formatBytes, freeBytes } = await import('../../../store/file/disk-space.ts');
  const dir = path.dirname(file);
  try {
    const bytes = await freeBytes(dir);
    const says = `${formatBytes(bytes)} free at ${dir}`;
    const base = { id: 'host_disk', says, facts: { dir, free_bytes: bytes } } as const;
    const isReadOnly = await access(dir, constants.W_OK).then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === 'EROFS',
    );
    if (isReadOnly)
      return {
        ...base,
        status: 'fail',
        says: `${dir} is on a read-only file system`,
        problem: {
          cause: 'read_only',
          message: `The folder of this host's broker, ${dir}, is on a read-only file system.`,
          advice: 'Mount it writable, then restart the broker.',
          where: 'here',
        },
      };
    if (bytes >= LOW_BYTES) return { ...base, status: 'ok' };
    if (bytes >= FULL_BYTES) return { ...base, status: 'warn', says: `only ${says}` };
    return {
      ...base,
      status: 'fail',
      says: `full: ${says}`,
      problem: {
        cause: 'disk_full',
        message: sentence(`The disk of this host's broker is full: ${says}`),
        advice: `Make room on the disk of ${dir}; the broker then accepts writes again by itself.`,
        where: 'here',
        command: `df -h ${shellWord(dir)}`,
      },
    };
  } catch (error) {
    return { id: 'host_disk', status: 'skip', says: messageOf(error) };
  }
}
