import { homedir, userInfo } from 'node:os';
import path from 'node:path';

/** The environment variables that decide paths. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The user's own folder for bpbroker: `known_brokers`, and the tree of a user who may not write the global
 * one. Undefined where there is no place for it: no HOME, and an account without a home (a container's uid
 * without an account).
 */
export function userRoot(
  env: Environment = process.env,
  platform: NodeJS.Platform = process.platform,
): string | undefined {
  if (platform === 'win32' && env['APPDATA']) return path.win32.join(env['APPDATA'], 'bpbroker');
  // A relative path would be another folder in each working directory. The XDG specification says to ignore
  // it.
  const config = absolute(env['XDG_CONFIG_HOME']);
  if (config !== undefined) return path.join(config, 'bpbroker');
  // Installers often run without HOME; the account's home is used then.
  const home = absolute(env['HOME']) ?? (platform === 'win32' ? homedir() : absolute(accountHome()));
  return home && path.join(home, '.config', 'bpbroker');
}

function absolute(dir: string | undefined): string | undefined {
  return dir && path.isAbsolute(dir) ? dir : undefined;
}

/** The home that the system's accounts name for this user, if there is such an account. */
function accountHome(): string | undefined {
  try {
    return userInfo().homedir;
  } catch (error) {
    const { code, info } = error as { code?: string; info?: { code?: string } };
    if ((info?.code ?? code) === 'ENOENT') return undefined;
    throw error;
  }
}
