import { clientCommands } from './client-commands.ts';
import type { Command } from '../command.ts';

/** The commands of `bpclient`. */
export const clientRoot: Command = {
  description: 'Client of a bpbroker service broker',
  options: ['version'],
  subCommands: clientCommands,
  examples: ['discover --name foo --wait', 'service get --name foo', '--bpbroker 10.0.0.1 ping --data hello'],
};
