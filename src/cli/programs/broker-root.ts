import { brokerCommands } from './broker-commands.ts';
import { clientCommands } from './client-commands.ts';
import type { Command } from '../command.ts';

/** All commands of `bpbroker`. */
export const brokerRoot: Command = {
  description: 'Service broker for install scripts that span several servers',
  options: ['version'],
  details:
    'The first server runs a broker and registers a name. Every other server finds it by that name, waits, and reads what it needs.',
  subCommands: { ...brokerCommands, ...clientCommands },
  examples: [
    'start',
    'service register --name foo --data bar',
    'discover --name foo --wait',
    'service get --name foo',
  ],
};
