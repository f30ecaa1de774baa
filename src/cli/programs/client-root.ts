import { clientCommands } from './client-commands.ts';
import type { Command } from '../command.ts';

/** The commands of `bpclient`. */
export const clientRoot: Command = {
  description: 'Client of a bpbroker service broker',
  options: ['version'],
  subCommands: clientCommands,
  // Spelt out, since what these take is not loaded for a client.
  elsewhere: {
    program: 'bpbroker',
    commands: [
      'start',
      'configure',
      'backup',
      'restore',
      'migrate',
      'install-extension',
      'install-service',
      'uninstall-service',
      'keygen',
    ],
  },
  examples: ['discover --name foo --wait', 'service get --name foo', '--bpbroker 10.0.0.1 ping --data hello'],
};
