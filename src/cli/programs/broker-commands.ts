import { brokerOptions } from '../start/broker-options.ts';
import type { Command } from '../command.ts';
import { checkKeyPrefix } from '../options/option-checks.ts';

/** The commands that only `bpbroker` has. */
export const brokerCommands: Readonly<Record<string, Command>> = {
  start: {
    description: 'Run the broker until it is interrupted',
    details:
      'It runs in the foreground until SIGINT or SIGTERM. SIGHUP makes it read the options of its file again. One line on standard error says that it is ready, with its address and its fingerprint. With --detach the command returns at that point. If the broker fails, the command repeats the reason and exits with its code. The file of the machine is etc/bpbroker.json in /usr/local/bpbroker, or in %ProgramFiles%\\bpbroker on Windows.',
    prints: 'Nothing; the log is on standard error.',
    positionals: ['config'],
    options: ['config', 'detach', 'timeout', ...brokerOptions, 'log-file'],
    meanings: { timeout: 'Longest time that a detached broker may take to be ready' },
    defaults: { timeout: '5m' },
    exits: {
      1: 'the broker could not start, or not end cleanly',
      4: 'a broker already runs with that file',
      9: 'it was not ready within --timeout (with --detach)',
    },
    examples: ['start', 'start --config ./bpbroker.json --listen-port 20444', 'start --detach'],
    load: async () => {
      // Node 20 opens all files of an import at once: more than a process may open under 'ulimit -n 64'.
      await import('../../store/file/file-store.ts');
      await import('../../broker/listeners.ts');
      await import('../../broker/health/self-check.ts');
      return import('../commands/start.ts');
    },
  },
  configure: {
    description: 'Add configuration; nothing that exists is replaced',
    details: 'The broker must not be running on that file.',
    prints: 'A line for each option that was added.',
    options: ['config-file', 'config'],
    positionals: ['config-file'],
    examples: ['configure --config-file ./more.json', 'configure < ./more.json'],
    load: () => import('../commands/configure.ts'),
  },
  backup: {
    description: 'Make a backup now, whether or not the broker runs, and print its path',
    prints: 'The path of the backup.',
    options: ['config'],
    positionals: ['config'],
    examples: ['backup', 'backup --config ./bpbroker.json'],
    load: () => import('../commands/backup.ts'),
  },
  restore: {
    description: 'Put a backup in place, with the broker stopped; the present state is kept aside',
    details: 'The backup is verified first. The registry continues at a revision above all earlier ones.',
    prints: 'The path of the file, and of what was kept.',
    options: ['from', 'config'],
    required: ['from'],
    examples: ['restore --from ./backup.json'],
    load: () => import('../commands/restore.ts'),
  },
  migrate: {
    description: 'Move the registry between its file and an etcd cluster, with the broker stopped',
    details:
      'It copies every entry, reads it back and compares it, and then switches _store in the configuration. Entries keep their revisions, and the broker keeps its identity. As soon as a move out of etcd begins, brokers over it are refused every read and write. If it is interrupted, run it again with the same options. The other options of etcd (ca, cert, key, username, password) are read from _store of the configuration.',
    prints: 'The path of the configuration, and of what was kept of it.',
    options: ['from', 'to', 'endpoint', 'prefix', 'config'],
    required: ['from', 'to'],
    positionals: ['config'],
    meanings: {
      from: 'Where the registry is now: file or etcd',
      prefix: 'Beginning of the keys in etcd; it ends with /',
    },
    defaults: { prefix: "the file's _store.prefix, else /bpbroker/" },
    valued: { from: 'DRIVER' },
    choices: { from: ['file', 'etcd'] },
    checks: { prefix: checkKeyPrefix },
    exits: {
      4: 'the target already holds something',
      130: 'it was interrupted; the registry is where it was',
    },
    examples: [
      'migrate --from file --to etcd --endpoint https://10.0.0.1:2379',
      'migrate --from etcd --to file',
    ],
    load: () => import('../commands/migrate.ts'),
  },
  'install-extension': {
    description: 'Copy an extension, a file or a folder, to where the broker looks for it',
    details:
      'The broker runs only extensions that its configuration enables. --enable adds what is needed; without it, the command prints the line to add.',
    prints: 'The path of the extension, and the access key or the line that enables it.',
    options: ['script', 'force', 'enable', 'config'],
    required: ['script'],
    examples: ['install-extension --script ./hello.ts', 'install-extension --script ./hello.ts --enable'],
    load: () => import('../commands/install-extension.ts'),
  },
  'install-service': {
    description: 'Install the broker as a service of the system, enabled at boot and started',
    details:
      'The service is of systemd, SysV init, launchd or Windows (NSSM, WinSW or a task). It needs an administrator.',
    prints: 'What was done, or would be done with --dry-run.',
    options: ['config', 'user', 'firewall', 'dry-run'],
    defaults: { config: "the machine's file" },
    positionals: ['config'],
    examples: ['install-service', 'install-service --dry-run'],
    load: () => import('../commands/install-service.ts'),
  },
  'uninstall-service': {
    description: 'Stop and remove the service; its data stays',
    details: 'It needs an administrator.',
    prints: 'What was done, or would be done with --dry-run.',
    options: ['config', 'dry-run'],
    meanings: { config: 'Configuration file of the service; that of another broker is refused' },
    defaults: { config: "the service's own" },
    positionals: [],
    examples: ['uninstall-service', 'uninstall-service --dry-run'],
    load: () => import('../commands/uninstall-service.ts'),
  },
  'service-prepare': {
    description: 'Make the user of the service the owner of its files, before the start',
    hidden: true,
    options: ['user', 'config'],
    required: ['user'],
    load: () => import('../commands/service-prepare.ts'),
  },
  'extension-host': {
    description: 'Run one extension for the broker that starts this',
    hidden: true,
    load: () => import('../commands/extension-host.ts'),
  },
  keygen: {
    description: 'Print a new 256-bit key, or the hash of a key',
    details: 'The key serves as an access key and as a discovery key.',
    prints: 'The key in 64 hex digits, and its hash with --hash; with --key-file the hash alone.',
    options: ['hash', 'key-file'],
    positionals: ['key-file'],
    examples: ['keygen', 'keygen --hash', 'keygen --key-file ./access.key'],
    load: () => import('../commands/keygen.ts'),
  },
};
