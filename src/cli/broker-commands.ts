import type { Command } from './command.ts';

/** The commands that only `bpbroker` has. */
export const brokerCommands: Readonly<Record<string, Command>> = {
  start: {
    description: 'Run the broker until it is interrupted',
    options: ['config', 'listen-ip', 'listen-port', 'ssl-cert', 'ssl-key', 'log-format', 'log-level'],
    examples: ['start', 'start --config ./bpbroker.json --listen-port 20444'],
    load: () => import('./commands/start.ts'),
  },
  configure: {
    description: 'Add configuration; what stands is not replaced',
    options: ['config', 'config-file'],
    examples: [`configure --config-file ossec.json`, `configure < ossec.json`],
    load: () => import('./commands/configure.ts'),
  },
  keygen: {
    description: 'Print a new 256-bit key, or the hash of a key',
    options: ['hash', 'key-file'],
    examples: ['keygen', 'keygen --hash', 'keygen --key-file access.key'],
    load: () => import('./commands/keygen.ts'),
  },
};
