#!/usr/bin/env node
import { clientCommands } from './client-commands.ts';
import { main } from './main.ts';

await main(
  'bpclient',
  {
    description: 'Client of a bpbroker service broker',
    options: ['version'],
    subCommands: clientCommands,
    examples: [
      'discover --name foo --wait',
      'service get --name foo',
      '--bpbroker 10.0.0.1 ping --data hello',
    ],
  },
  process.argv.slice(2),
);
