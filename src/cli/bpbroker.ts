#!/usr/bin/env node
import { brokerCommands } from './broker-commands.ts';
import { clientCommands } from './client-commands.ts';
import { main } from './main.ts';

await main(
  'bpbroker',
  {
    description: 'Service broker for install scripts that span several servers',
    options: ['version'],
    subCommands: { ...brokerCommands, ...clientCommands },
    examples: [
      'start',
      'service register --name foo --data bar',
      'discover --name foo --wait',
      'service get --name foo',
    ],
  },
  process.argv.slice(2),
);
