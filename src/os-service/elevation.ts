import { BrokerError } from '../protocol/errors.ts';
import type { System } from './system.ts';

/** @throws BrokerError `forbidden` unless the user is root, or an administrator of Windows. */
export async function requireElevation(system: System, command: string): Promise<void> {
  if (system.platform === 'win32') {
    // This command lists drivers. It works only for administrators, and changes nothing.
    if ((await system.run(['fltmc'])).code === 0) return;
    throw new BrokerError(
      'forbidden',
      `${command} needs an administrator: start the terminal with 'Run as administrator'`,
    );
  }
  if (system.isRoot === true) return;
  throw new BrokerError(
    'forbidden',
    `${command} needs root: run it with sudo (--dry-run shows what it would do)`,
  );
}
