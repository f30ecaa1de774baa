import { clientRoot } from '../../src/cli/programs/client-root.ts';
import type { Command } from '../../src/cli/command.ts';
import { optionDefinitions, type OptionName } from '../../src/cli/options/options.ts';

/** A variable of the environment, as the reference has it. The texts are Markdown, without a full stop at their end. */
export interface Variable {
  /** Which programs read it. */
  readonly program: 'bpbroker' | 'both';
  /** The behaviour without the variable. */
  readonly default: string;
  readonly description: string;
}

type Variables = Readonly<Record<string, Variable>>;

/** Variables that a user may set, besides those of options. */
const ownVariables: Variables = {
  BPBROKER_HOME: {
    program: 'bpbroker',
    default: '`/usr/local/bpbroker`, on Windows `%ProgramFiles%\\bpbroker`',
    description: 'Folder of `etc/bpbroker.json`, `lib/` (extensions) and `backups/`',
  },
  XDG_CONFIG_HOME: {
    program: 'both',
    default: '`$HOME/.config`',
    description:
      "Folder of the user's own `bpbroker/`, which holds `known_brokers`, and the configuration where the machine's cannot be written. A relative path is ignored, and so is the variable on Windows where `APPDATA` is set",
  },
  COLUMNS: {
    program: 'both',
    default: 'that of the terminal, else 80',
    description: 'Width of help, from 40 to 100',
  },
  NO_COLOR: {
    program: 'both',
    default: 'colours on a terminal alone',
    description: 'With any value, help and `doctor` have no colours',
  },
  SSL_CERT_FILE: {
    program: 'both',
    default: "the system's authorities",
    description: 'PEM file of the authorities that may sign for a URL, where no `--ca` is given',
  },
  NODE_EXTRA_CA_CERTS: {
    program: 'both',
    default: 'none',
    description: 'PEM file of authorities that are added to those',
  },
};

const proxy: Variable = {
  program: 'both',
  default: 'none',
  description: '`doctor` names it, and that it is not used: brokers are reached directly',
};
const unit: Variable = {
  program: 'bpbroker',
  default: 'systemd learns nothing',
  description: 'By systemd, to a service of the type `notify`: how the broker says that it is ready and well',
};
const windowsFolder: Variable = {
  program: 'bpbroker',
  default: 'none, or the usual folder of Windows',
  description: 'By Windows: below it are `bpbroker` and programs that a service may run',
};

const searchPath: Variable = {
  program: 'both',
  default: "the system's",
  description: 'Where programs are looked for, such as the interpreters of extensions and `nft`',
};

/** Variables that the system or another program sets. Names with one description are in one row. */
export const systemVariables: Variables = {
  HOME: {
    program: 'both',
    default: "the account's own folder",
    description: 'Below it is `.config`, where `XDG_CONFIG_HOME` is not set',
  },
  APPDATA: {
    program: 'both',
    default: '`.config` of the user',
    description: "By Windows: folder of the user's own `bpbroker\\`, in place of `XDG_CONFIG_HOME`",
  },
  ProgramW6432: windowsFolder,
  ProgramFiles: windowsFolder,
  'ProgramFiles(x86)': windowsFolder,
  SystemRoot: windowsFolder,
  PATH: searchPath,
  Path: searchPath,
  TERM: { program: 'both', default: 'any', description: 'With `dumb`, help has no colours' },
  NOTIFY_SOCKET: unit,
  WATCHDOG_USEC: unit,
  WATCHDOG_PID: unit,
  JOURNAL_STREAM: {
    program: 'bpbroker',
    default: 'the log has times',
    description: 'By systemd: tells a log that goes to the journal, which has times of its own',
  },
  KUBERNETES_SERVICE_HOST: {
    program: 'both',
    default: 'none',
    description: 'By Kubernetes: `doctor` says that this is a container of it',
  },
  npm_command: {
    program: 'bpbroker',
    default: 'none',
    description: 'By npm: the ready line advises commands that begin with `npx`',
  },
  HTTPS_PROXY: proxy,
  https_proxy: proxy,
  ALL_PROXY: proxy,
  all_proxy: proxy,
  HTTP_PROXY: proxy,
  http_proxy: proxy,
};

/** Variables that the programs set for a process that they start. */
export const givenVariables: Readonly<Record<string, readonly [to: string, description: string]>> = {
  BPBROKER_EVENT_TYPE: ['`service watch --exec`', '`put`, `delete`, `expire` or `reset`'],
  BPBROKER_EVENT_NAME: ['`service watch --exec`', 'The name of the entry; empty for `reset`'],
  BPBROKER_EVENT_REVISION: ['`service watch --exec`', 'The revision of the change'],
  BPBROKER_LOCK_NAME: ['the command of `lock`', 'The name of its lock; `--if-locked` reads it'],
  BPBROKER_LOCK_REVISION: [
    'the command of `lock`',
    'The revision of its lock, greater than that of every holder before; `--if-locked` reads it',
  ],
  BPBROKER: ['a [program](extensions.md) as extension', "The broker's address"],
  BPBROKER_ACCESS_KEY: ['a program as extension', 'A key for `services`, valid during the call'],
  BPBROKER_FINGERPRINT: ['a program as extension', "The broker's identity"],
  BPBROKER_MODULE: ['a program as extension', 'The name of its module'],
  BPBROKER_METHOD: ['a program as extension', 'The method that is called'],
  BPBROKER_CLIENT_ADDRESS: ['a program as extension', 'The address of its caller'],
  PYTHONUTF8: ['any extension', '`1`: texts are UTF-8 in Python, whatever the locale is'],
  PYTHONIOENCODING: ['any extension', '`utf-8:backslashreplace`, for the same'],
  PYTHONDONTWRITEBYTECODE: ['any extension', '`1`: Python writes no files beside an extension'],
  BUN_RUNTIME_TRANSPILER_CACHE_PATH: ['any extension', '`0`: Bun keeps nothing of what it has compiled'],
  LC_ALL: ['`nft`, which `doctor` runs', '`C`'],
  BPBROKER_DETACHED_READY_FILE: [
    'the broker of `start --detach`',
    'The file by which it says that it is ready; it is not for users',
  ],
  BPBROKER_EXTENSION_FILE: [
    "an extension's host",
    'What it runs; it is not for users, and gone once the extension loads',
  ],
  BPBROKER_EXTENSION_NAME: ["an extension's host", 'The same'],
  BPBROKER_EXTENSION_DIR: ["an extension's host", 'The same'],
  BPBROKER_EXTENSION_MARK: ["an extension's host", 'The same'],
};

/** Returns the variables that a user may set: first those of options, then the others. */
export function userVariables(): Variables {
  const ofOptions = (Object.keys(optionDefinitions) as OptionName[]).flatMap((name): [string, Variable][] => {
    const { env, contentEnv, default: standard } = optionDefinitions[name];
    const program = isOfClients(clientRoot, name) ? 'both' : 'bpbroker';
    const entry = (description: string): Variable => ({
      program,
      default: standard ?? 'that of each command',
      description,
    });
    return [
      ...(env === undefined ? [] : [[env, entry(`In place of \`--${name}\``)] satisfies [string, Variable]]),
      ...(contentEnv === undefined
        ? []
        : [[contentEnv, entry(`The key itself, in place of \`--${name}\``)] satisfies [string, Variable]]),
    ];
  });
  return { ...Object.fromEntries(ofOptions), ...ownVariables };
}

function isOfClients({ options = [], subCommands = {} }: Command, name: OptionName): boolean {
  return options.includes(name) || Object.values(subCommands).some((command) => isOfClients(command, name));
}
