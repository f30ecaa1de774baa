import type { Command } from './command.ts';
import { connectionOptions, outputOptions } from './options.ts';

const client = [...connectionOptions, ...outputOptions];
const write = ['name', 'data', 'data-file', 'ttl'] as const;

const service: Command = {
  description: 'The durable registry: names and their data',
  subCommands: {
    register: {
      description: 'Make an entry; fails if the name stands',
      options: [...write, 'if-same', ...client],
      required: ['name'],
      examples: [
        'service register --name foo --data bar',
        `service register --name db --data '{"host": "10.0.0.5", "port": 5432}'`,
      ],
      load: () => import('./commands/write.ts').then(({ register }) => ({ run: register })),
    },
    replace: {
      description: 'Store the data, whatever stood',
      options: [...write, 'if-revision', ...client],
      required: ['name'],
      examples: ['service replace --name foo --data bar'],
      load: () => import('./commands/write.ts').then(({ replace }) => ({ run: replace })),
    },
    update: {
      description: 'Merge the data into what stands',
      options: [...write, 'if-revision', ...client],
      required: ['name'],
      examples: [`service update --name db --data '{"replica": "10.0.0.6"}'`],
      load: () => import('./commands/write.ts').then(({ update }) => ({ run: update })),
    },
    get: {
      description: "Print an entry's data",
      options: ['name', 'wait', ...client],
      required: ['name'],
      examples: [
        'service get --name foo',
        'service get --name db --wait --timeout 5m',
        'service get --name db --cols host',
      ],
      load: () => import('./commands/get.ts'),
    },
    delete: {
      description: 'Remove an entry; succeeds if there is none',
      options: ['name', 'if-revision', ...connectionOptions, 'raw'],
      required: ['name'],
      examples: ['service delete --name foo'],
      load: () => import('./commands/delete.ts'),
    },
    list: {
      description: 'Print names and data, a line each',
      options: ['prefix', 'wait-count', 'count', ...connectionOptions, 'format', 'cols'],
      examples: [
        'service list --prefix web/',
        'service list --prefix node/ --wait-count 3 --timeout 10m',
        'service list --prefix node/ --wait-count 5000 --count',
      ],
      load: () => import('./commands/list.ts'),
    },
    watch: {
      description: 'Print each change as it happens, a JSON line each',
      options: ['name', 'prefix', 'exec', ...connectionOptions],
      examples: ['service watch --prefix web/', "service watch --name db --exec './reconfigure.sh'"],
      load: () => import('./commands/watch.ts'),
    },
  },
};

/** The commands of both programs. */
export const clientCommands: Readonly<Record<string, Command>> = {
  ping: {
    description: 'Check that a broker answers',
    options: ['data', ...client],
    examples: ['--bpbroker 127.0.0.1 ping --data foo'],
    load: () => import('./commands/ping.ts'),
  },
  discover: {
    description: 'Find the broker that holds an entry, or any broker, and print its address',
    options: [
      'name',
      'wait',
      'all',
      'discover-key-file',
      'timeout',
      'interface',
      'target',
      'port',
      'format',
      'cols',
      'quiet',
      'verbose',
    ],
    examples: [
      'discover --name foo-cluster1',
      'discover --all',
      'discover --name foo-cluster1 --wait --timeout 10m',
    ],
    load: () => import('./commands/discover.ts'),
  },
  service,
  execute: {
    description: "Run an extension's method on the broker, and print its output as it arrives",
    options: ['method', 'data', 'data-file', ...connectionOptions, 'format', 'cols'],
    required: ['method'],
    examples: [
      'execute --method ossec.AddAgent --data $HOSTNAME',
      'execute --method backup.Run --timeout 10m',
    ],
    load: () => import('./commands/execute.ts'),
  },
  trust: {
    description: "List, add or forget the identity kept for a broker's address, and for names that found it",
    options: ['bpbroker', 'name', 'fingerprint', 'forget', 'timeout', 'quiet', 'verbose'],
    meanings: {
      bpbroker: 'Address of the broker (default: list all)',
      name: 'Name of an entry by which a broker was found',
      fingerprint: 'The identity to keep for them from now on',
      forget: 'Forget the identity kept for them',
      timeout: 'Longest to ask the broker for its certificate (default: 3s)',
    },
    examples: [
      'trust',
      'trust --bpbroker 10.0.0.1 --fingerprint sha256:…',
      'trust --name foo --fingerprint sha256:…',
      'trust --bpbroker 10.0.0.1 --forget',
    ],
    load: () => import('./commands/trust.ts'),
  },
};
