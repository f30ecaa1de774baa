import { homedir } from 'node:os';
import path from 'node:path';

/** The variables of the environment that paths depend on. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The user's own folder for bpbroker: `known_brokers`, and the tree of a user who may not write the global one. */
export function userRoot(
  env: Environment = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  if (platform === 'win32' && env['APPDATA']) return path.win32.join(env['APPDATA'], 'bpbroker');
  if (env['XDG_CONFIG_HOME']) return path.join(env['XDG_CONFIG_HOME'], 'bpbroker');
  // Installers often run without HOME; the account's own folder is asked for then.
  return path.join(env['HOME'] ?? homedir(), '.config', 'bpbroker');
}
