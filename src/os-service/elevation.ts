import { BrokerError } from '../protocol/errors.ts';
import type { System } from './system.ts';

/** @throws BrokerError `forbidden` unless this is root, or an administrator of Windows. */
export async function requireElevation(system: System, command: string): Promise<void> {
  if (system.platform === 'win32') {
    // It shows drivers, to administrators alone, and changes nothing.
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
