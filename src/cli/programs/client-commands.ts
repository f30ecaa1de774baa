import type { Command } from '../command.ts';
import { connectionOptions, outputOptions } from '../options/common.ts';

const client = [...connectionOptions, ...outputOptions];
const entry = [...client, 'data-only'] as const;
const write = ['name', 'data', 'data-file', 'json', 'ttl'] as const;
const data = [['data', 'data-file']] as const;

/** The default of a command that sends its broker one request. */
const once = '10s per request, 3s to find the broker';

const service: Command = {
  description: 'Work with the registry: names and their data',
  expanded: true,
  subCommands: {
    register: {
      description: 'Make an entry; fails if the name exists',
      details:
        'Exactly one of any number of simultaneous registrations of a name succeeds. Data that is a JSON object is stored as that object, anything else as a text.',
      prints: 'The data of the entry.',
      options: [...write, 'if-same', 'if-locked', ...entry],
      required: ['name'],
      oneOf: data,
      defaults: { timeout: once },
      exits: { 4: 'the entry already exists, or the lock of --if-locked is no longer held' },
      examples: [
        'service register --name foo --data bar',
        `service register --name db --data '{"host": "10.0.0.5", "port": 5432}'`,
      ],
      load: () => import('../commands/write.ts').then(({ register }) => ({ run: register })),
    },
    replace: {
      description: 'Store an entry, whether or not the name exists',
      prints: 'The data of the entry.',
      options: [...write, 'if-revision', 'if-locked', ...entry],
      required: ['name'],
      oneOf: data,
      defaults: { timeout: once },
      exits: {
        4: 'the entry is not at the revision of --if-revision, or the lock of --if-locked is no longer held',
      },
      examples: ['service replace --name foo --data bar', 'service replace --name foo --data bar --ttl 30s'],
      load: () => import('../commands/write.ts').then(({ replace }) => ({ run: replace })),
    },
    update: {
      description: 'Merge data into an entry, or remove members of it',
      details:
        'Objects are merged deeply. New values win, arrays are replaced, and nothing else changes. An entry that does not exist is made. The members of --unset are removed first, in the same write; without data the entry must exist.',
      prints: 'The data of the whole entry.',
      options: [...write, 'unset', 'if-revision', 'if-locked', ...entry],
      required: ['name'],
      oneOf: [['data', 'data-file', 'unset']],
      defaults: { ttl: 'its lifetime stays as it is', timeout: once },
      exits: {
        3: 'the entry does not exist (without data)',
        4: 'the entry is not at the revision of --if-revision, or the lock of --if-locked is no longer held',
      },
      examples: [
        `service update --name db --data '{"replica": "10.0.0.6"}'`,
        'service update --name db --unset replica',
      ],
      load: () => import('../commands/write.ts').then(({ update }) => ({ run: update })),
    },
    renew: {
      description: 'Restart the lifetime of an entry',
      details:
        'Neither its data nor its revision changes, and an entry without a lifetime stays as it is. For an entry that must live as long as a command runs, use lock.',
      prints: 'The data of the entry.',
      options: ['name', 'if-revision', ...entry],
      required: ['name'],
      defaults: { timeout: once, 'if-revision': 'renew at any revision' },
      meanings: { 'if-revision': 'Renew only if the entry is at this revision' },
      exits: {
        3: 'the entry does not exist, or has expired',
        4: 'the entry is not at the revision of --if-revision',
      },
      examples: ['service renew --name foo'],
      load: () => import('../commands/renew.ts'),
    },
    get: {
      description: "Print an entry's data",
      details: 'With --wait it waits until the entry exists, through restarts of the broker too.',
      prints:
        'The data: a text as it is, or a JSON object on one line with last_write_ts and last_write_ip first.',
      options: ['name', 'wait', 'default', ...entry],
      required: ['name'],
      defaults: { timeout: `${once}; with --wait, no limit` },
      exits: {
        3: 'the entry does not exist, or has no such column',
        9: 'it did not exist within --timeout (with --wait)',
      },
      examples: [
        'service get --name foo',
        'service get --name db --wait --timeout 5m',
        'service get --name db --cols host --default 127.0.0.1',
      ],
      load: () => import('../commands/get.ts'),
    },
    delete: {
      description: 'Remove an entry, or all under a prefix; succeeds if there is none',
      prints: 'Nothing.',
      options: ['name', 'prefix', 'if-revision', 'if-locked', ...connectionOptions, 'raw'],
      oneOf: [['name', 'prefix']],
      defaults: { timeout: once, 'if-revision': 'delete at any revision' },
      meanings: {
        prefix: 'Remove all entries whose names start with this, which must not be empty',
        'if-revision': 'Delete only if the entry is at this revision',
      },
      exits: {
        4: 'the entry is not at the revision of --if-revision, or the lock of --if-locked is no longer held',
      },
      examples: ['service delete --name foo', 'service delete --prefix web/'],
      load: () => import('../commands/delete.ts'),
    },
    list: {
      description: 'Print names and data, a line each',
      details:
        'With --wait-count it waits until there are so many entries: a barrier for a known number of servers.',
      prints: 'A line for each entry, its name and its data, or the number of entries with --count.',
      options: ['prefix', 'wait-count', 'count', ...connectionOptions, 'format', 'cols', 'data-only'],
      positionals: ['prefix'],
      meanings: { 'data-only': 'Print names and data alone' },
      defaults: { timeout: `${once}; with --wait-count, no limit` },
      exits: { 9: 'there were too few entries within --timeout (with --wait-count)' },
      examples: [
        'service list --prefix web/',
        'service list --prefix node/ --wait-count 3 --timeout 10m',
        'service list --prefix node/ --wait-count 3 --count',
      ],
      load: () => import('../commands/list.ts'),
    },
    watch: {
      description: 'Print each change as it happens, a JSON line each',
      details:
        'It goes on after a broken connection, and no change is lost. It ends with its reader, also when no change follows. --exec gets the line on its standard input, and BPBROKER_EVENT_TYPE (put, delete, expire or reset), BPBROKER_EVENT_NAME and BPBROKER_EVENT_REVISION in its environment; the next change waits for its end.',
      prints: 'A JSON line for each change.',
      options: ['name', 'prefix', 'exec', 'initial', 'after', 'count', ...connectionOptions],
      oneOf: [['name', 'prefix']],
      meanings: {
        prefix: "Entries whose names start with this; '' is every entry",
        count: 'End after K changes, those of --initial included',
      },
      valued: { count: 'K' },
      defaults: { timeout: 'no limit', count: 'no limit' },
      exits: { 9: 'the time of --timeout has passed' },
      examples: [
        'service watch --prefix web/',
        "service watch --name db --initial --exec './reconfigure.sh'",
        'service watch --name db --count 1 --timeout 10m',
      ],
      load: () => import('../commands/watch.ts'),
    },
  },
};

/** The commands of both programs. */
export const clientCommands: Readonly<Record<string, Command>> = {
  ping: {
    description: 'Check that a broker answers',
    prints: 'The data that was sent, as the broker returned it.',
    options: ['data', 'wait', ...client],
    positionals: ['bpbroker'],
    meanings: { wait: 'Wait until a broker answers' },
    defaults: { data: 'an empty text', timeout: `${once}; with --wait, no limit` },
    exits: { 9: 'no broker answered within --timeout (with --wait)' },
    examples: ['ping --data hello', '--bpbroker 127.0.0.1 ping --wait --timeout 1m'],
    load: () => import('../commands/ping.ts'),
  },
  discover: {
    description: 'Find the broker that holds an entry, or any broker, and print its address',
    details:
      'It asks over UDP on the network. If several brokers answer, it fails with exit code 7, unless --all is given.',
    prints: 'The address, such as 10.0.0.1, with :PORT where the port is not 20443.',
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
    positionals: ['name'],
    meanings: { wait: 'Wait until a broker answers' },
    defaults: { name: 'any broker', timeout: '3s; with --wait, no limit' },
    exits: { 9: 'no broker answered within --timeout (with --wait)' },
    examples: ['discover --name foo', 'discover --name foo --wait --timeout 10m', 'discover --all'],
    load: () => import('../commands/discover.ts'),
  },
  service,
  lock: {
    description: 'Run a command while it holds a lock',
    details:
      'The lock is an entry that exists as long as the command runs, and only one holder has it at a time. It is renewed at a third of its lifetime, and released at the end. Signals are passed on to the command and all of its process group. If the lock is lost, they are ended before another can have it. The command finds its lock in BPBROKER_LOCK_NAME and BPBROKER_LOCK_REVISION; writes with --if-locked succeed only while it is held.',
    prints: 'What the command prints.',
    options: ['name', 'data', 'ttl', 'wait', 'foreground', ...connectionOptions],
    required: ['name'],
    rest: 'CMD…',
    meanings: {
      data: 'What the entry holds meanwhile: a text, or a JSON object',
      ttl: 'How long the lock outlives a holder that has died; at least 1s',
      wait: 'Wait for the lock, in the order of asking',
    },
    defaults: {
      data: 'an empty text',
      ttl: '10s',
      timeout: `${once}; with --wait, no limit; the command has none`,
    },
    exits: {
      1: 'the lock was lost while the command ran',
      4: 'another holds the lock',
      126: 'the command cannot be run',
      127: 'the command does not exist',
    },
    examples: [
      'lock --name deploy -- ./deploy.sh',
      'lock --name deploy --wait --timeout 10m -- ./deploy.sh web1',
      'lock --name node/web1 --data 10.0.0.7 -- ./agent',
    ],
    load: () => import('../commands/lock.ts'),
  },
  execute: {
    description: "Run an extension's method on the broker, and print its output as it arrives",
    details: 'The broker runs only what its configuration enables. The data is the argument of the method.',
    prints: 'The output of the method, to the byte.',
    options: ['method', 'data', 'data-file', ...connectionOptions, 'format', 'cols'],
    required: ['method'],
    meanings: { format: 'Print output that is JSON in this form: text, json, csv, csv-noheader or env' },
    defaults: {
      data: 'none',
      'data-file': 'none',
      timeout: '10s to connect, no limit for the method, which the broker ends after its _timeout_secs (60)',
    },
    exits: {
      1: 'the method failed',
      3: 'the method does not exist or is not enabled',
      9: 'the method took longer than --timeout, or than its _timeout_secs',
    },
    examples: ['execute --method hello.Greet --data you', 'execute --method hello.Greet --timeout 10m'],
    load: () => import('../commands/execute.ts'),
  },
  doctor: {
    description: 'Find out why no broker is found or reached from here, and what to do',
    details:
      "It checks the whole way, beginning with this host's interfaces and firewall, UDP queries and answers, and TCP. Then it checks the broker's identity, the access key, the name, and the broker's health and clock. It also checks a broker of this host. It changes nothing and keeps nothing. The access key is sent once, and only to a broker whose identity is known. The exit code says which part is in the way.",
    prints: 'A line for each check (ok, warn, fail or skip), then what is wrong and the one thing to do.',
    options: ['name', ...connectionOptions, 'config', 'format', 'cols'],
    positionals: ['name'],
    meanings: {
      quiet: 'Print only what is wrong, and what to do',
      verbose: 'Print below each check what it found',
    },
    defaults: {
      name: 'any broker',
      timeout: '10s in all',
      config: "that of this host's broker, if there is one",
    },
    exits: {
      0: 'nothing was found in the way',
      1: 'the broker is in trouble (its disk is full or has failed, its configuration), or the clocks differ by a minute or more',
      3: 'the broker has no entry of that name',
      5: 'an access key is missing or wrong, or the discovery key is missing here',
      6: 'no broker answers, or a network or firewall is in the way',
      7: 'several brokers answer, or copies of one',
      8: 'the identity is not the one that is expected, or the discovery key is not proved',
    },
    examples: [
      'doctor',
      'doctor --name foo',
      'doctor --bpbroker 10.0.0.1',
      'doctor --name foo --format json',
    ],
    load: () => import('../commands/doctor.ts'),
  },
  trust: {
    description: "List, add or forget the identity kept for a broker's address, and for names that found it",
    details:
      'Without --fingerprint and --forget it lists. The identity is kept at first contact, and a broker that shows another one is refused with exit code 8.',
    prints: 'A line for each identity that is listed or added: the address or the name, and the fingerprint.',
    options: ['bpbroker', 'name', 'fingerprint', 'forget', 'timeout', 'quiet', 'verbose'],
    positionals: ['bpbroker'],
    meanings: {
      // Variables that scripts export for other commands must neither narrow a list nor change what is kept.
      bpbroker: 'Address of the broker',
      name: 'Name of an entry by which a broker was found',
      fingerprint: 'The identity to keep from now on',
      timeout: 'Longest time to ask the broker for its certificate',
    },
    defaults: { bpbroker: 'list all', name: 'list all', fingerprint: 'list what is kept', timeout: '3s' },
    exits: { 3: 'no identity is kept for it' },
    examples: [
      'trust',
      'trust --name foo --fingerprint "$FINGERPRINT"',
      'trust --bpbroker 10.0.0.1 --forget',
    ],
    load: () => import('../commands/trust.ts'),
  },
};
