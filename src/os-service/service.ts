import type { Home } from '../config/paths.ts';
import type { ServiceRecord } from './record.ts';
import type { Step } from './step.ts';

/** The service's name, the same everywhere. */
export const SERVICE = 'bpbroker';
export const DESCRIPTION = 'bpbroker, the service broker for install scripts';

/** The service that shall be. Paths are absolute. */
export interface ServiceSpec {
  /** The command that runs bpbroker, to put `start` behind. */
  readonly program: readonly string[];
  /** The executable that `program` is to be a copy of; absent where it is run from where it is. */
  readonly copyOf?: string;
  /** The copy that belongs to the service: `program`, or one of an earlier installation. */
  readonly copy?: string;
  /** Version of the program. */
  readonly version: string;
  readonly home: Home;
  /** The file of `--config`. */
  readonly config?: string;
  /** TCP and UDP port that it listens on. */
  readonly port: number;
  /** The system's user to run as; absent where the manager decides (Windows). */
  readonly user?: string;
  /** Whether to open the system's firewall for it. Windows alone. */
  readonly firewall: boolean;
}

/** What installs services on one kind of system. */
export interface ServiceManager {
  /** For people: `systemd`. */
  readonly name: string;
  /** Where a person finds the log. */
  readonly log: string;
  /** What may be beside the service that is not its to remove: its log, what an administrator has written. */
  readonly left: readonly string[];
  /** Installs, enables at boot and starts it, or brings what exists to that. */
  install(spec: ServiceSpec): Promise<readonly Step[]>;
  /** What it knows of the service that is installed; nothing where none is. */
  installed(): Promise<ServiceRecord | undefined>;
  /** Stops and removes it; data stays. */
  uninstall(record: ServiceRecord): Promise<readonly Step[]>;
}

/** The arguments that the service's program is started with. */
export function startArguments({ config }: Pick<ServiceSpec, 'config'>): readonly string[] {
  return ['start', ...(config === undefined ? [] : ['--config', config])];
}

export function recordFor({ home, config, version, copy, user }: ServiceSpec): ServiceRecord {
  return {
    root: home.root,
    ...(config !== undefined && { config }),
    version,
    ...(copy !== undefined && { copy }),
    ...(user !== undefined && { user }),
  };
}
