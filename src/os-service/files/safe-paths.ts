import path from 'node:path';
import type { Home } from '../../config/paths.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { System } from '../system.ts';

/**
 * Checks the places of a service's files. Whoever else could change the folders above them could make root
 * run or give away any file.
 * @param label how a message calls the option that `config` is from, such as `--config`.
 * @param user the service's user, who must reach the places too.
 * @throws BrokerError `usage` that names the option and the folder, and what is wrong with it.
 */
export async function checkPaths(
  system: System,
  home: Home,
  config: string | undefined,
  label: string,
  user: string,
): Promise<void> {
  if (system.platform === 'win32') return;
  const given = system.env['BPBROKER_HOME'];
  await checkPlace(system, home.root, user, (problem) =>
    given
      ? `Invalid BPBROKER_HOME '${given}' for a service: ${problem}; give a folder below one of root's, such as /opt/bpbroker, or unset it for /usr/local/bpbroker`
      : `The service cannot keep its files in ${home.root}: ${problem}; correct that, or set BPBROKER_HOME to a folder below one of root's, such as /opt/bpbroker`,
  );
  if (config === undefined) return;
  await checkPlace(
    system,
    path.dirname(path.dirname(config)),
    user,
    (problem) =>
      `Invalid ${label} '${config}' for a service: ${problem}; give a file such as /etc/bpbroker/bpbroker.json`,
  );
}

/**
 * The path of a place without a link at the root of the system, such as `/etc` of macOS, which leads to
 * `/private/etc`. Only root can change such a link. Any other is refused by {@link checkPaths}.
 */
export async function withoutRootLink(system: System, file: string): Promise<string> {
  if (system.platform === 'win32') return file;
  const [, top = '', rest = ''] = /^(\/[^/]+)(.*)$/.exec(file) ?? [];
  const target = (await system.stat(top))?.uid === 0 ? await system.readLink(top) : undefined;
  return target === undefined ? file : path.resolve('/', target) + rest;
}

async function checkPlace(
  system: System,
  dir: string,
  user: string,
  message: (problem: string) => string,
): Promise<void> {
  const refuse = (at: string, why: string): never => {
    throw new BrokerError('usage', message(`${at} ${why}`));
  };
  if (/^(?:\/private)?\/(?:run|var\/run|dev)(?:\/|$)/.test(dir)) refuse(dir, 'is emptied at every boot');
  for (let at = dir; ; at = path.dirname(at)) {
    const info = await system.stat(at);
    if (info) {
      if (info.kind === 'other') refuse(at, 'is a link');
      if (info.uid !== 0 || (info.mode & 0o022) !== 0) refuse(at, 'can be changed by others than root');
      if (user !== 'root' && (info.mode & 0o001) === 0) refuse(at, `cannot be entered by the user ${user}`);
    }
    if (at === path.dirname(at)) return;
  }
}

/** Why a service must not run a program from its place; `undefined` when it may. */
export async function unfitToRun(system: System, file: string): Promise<string | undefined> {
  return system.platform === 'win32' ? unfitOnWindows(system, file) : unfitOnUnix(system, file);
}

/** Users may write to most other places, and the service runs as the system itself. */
function unfitOnWindows({ env }: System, file: string): string | undefined {
  const places = [env['ProgramW6432'], env['ProgramFiles'], env['ProgramFiles(x86)'], env['SystemRoot']];
  const lower = file.toLowerCase();
  const fit = places.some((place) => place && lower.startsWith(`${place.toLowerCase()}\\`));
  return fit ? undefined : `${file} is not below ${env['ProgramFiles'] ?? String.raw`C:\Program Files`}`;
}

/** Homes, folders that a boot empties, and folders that may not be mounted yet. */
const passing = [
  '/home',
  '/root',
  '/Users',
  '/tmp',
  '/var/tmp',
  '/private',
  '/run',
  '/dev',
  '/media',
  '/mnt',
];

async function unfitOnUnix(system: System, file: string): Promise<string | undefined> {
  const place = passing.find((folder) => file.startsWith(`${folder}/`));
  if (place !== undefined) return `${file} lies in ${place}`;
  for (let at = file; ; at = path.posix.dirname(at)) {
    const info = await system.stat(at);
    if (!info || info.uid !== 0 || (info.mode & 0o022) !== 0) {
      return `${at} can be changed by others than root`;
    }
    if (at === '/') return undefined;
  }
}
