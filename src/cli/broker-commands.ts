import type { Command } from './command.ts';

/** The commands that only `bpbroker` has. */
export const brokerCommands: Readonly<Record<string, Command>> = {
  start: {
    description: 'Run the broker until it is interrupted',
    options: ['config', 'listen-ip', 'listen-port', 'ssl-cert', 'ssl-key', 'log-format', 'log-level'],
    examples: ['start', 'start --config ./bpbroker.json --listen-port 20444'],
    load: async () => {
      // Node 20 opens all files of an import at once, more than a process may under 'ulimit -n 64'.
      await import('../store/file/file-store.ts');
      await import('../broker/listeners.ts');
      await import('../broker/health/self-check.ts');
      return import('./commands/start.ts');
    },
  },
  configure: {
    description: 'Add configuration; what stands is not replaced',
    options: ['config', 'config-file'],
    examples: [`configure --config-file ossec.json`, `configure < ossec.json`],
    load: () => import('./commands/configure.ts'),
  },
  backup: {
    description: 'Make a backup now, whether or not the broker runs, and print its path',
    options: ['config'],
    examples: ['backup', 'backup --config ./bpbroker.json'],
    load: () => import('./commands/backup.ts'),
  },
  restore: {
    description: 'Put a backup in place, with the broker stopped; the present state is kept aside',
    options: ['from', 'config'],
    required: ['from'],
    examples: [
      'restore --from /usr/local/bpbroker/backups/bpbroker-20260131T120000000Z-r0000000000000042.json',
    ],
    load: () => import('./commands/restore.ts'),
  },
  'install-extension': {
    description: 'Copy an extension, a file or a folder, to where the broker looks for it',
    options: ['script', 'force', 'enable', 'config'],
    required: ['script'],
    examples: ['install-extension --script ./ossec.ts', 'install-extension --script ./ossec.ts --enable'],
    load: () => import('./commands/install-extension.ts'),
  },
  'install-service': {
    description: 'Install the broker as a service of the system, enabled at boot and started',
    options: ['config', 'user', 'firewall', 'dry-run'],
    examples: ['install-service', 'install-service --dry-run'],
    load: () => import('./commands/install-service.ts'),
  },
  'uninstall-service': {
    description: 'Stop and remove the service; its data stays',
    options: ['dry-run'],
    load: () => import('./commands/uninstall-service.ts'),
  },
  'service-prepare': {
    description: 'Give the files of the service to its user, before it starts',
    hidden: true,
    options: ['user', 'config'],
    required: ['user'],
    load: () => import('./commands/service-prepare.ts'),
  },
  'extension-host': {
    description: 'Run one extension for the broker that starts this',
    hidden: true,
    load: () => import('./commands/extension-host.ts'),
  },
  keygen: {
    description: 'Print a new 256-bit key, or the hash of a key',
    options: ['hash', 'key-file'],
    examples: ['keygen', 'keygen --hash', 'keygen --key-file access.key'],
    load: () => import('./commands/keygen.ts'),
  },
};
