import type { Home } from '../config/paths.ts';
import type { ServiceRecord } from './record.ts';
import type { Step } from './step.ts';

/** The service's name, the same everywhere. */
export const SERVICE = 'bpbroker';
export const DESCRIPTION = 'bpbroker, the service broker for install scripts';

/** The service to install. Paths are absolute. */
export interface ServiceSpec {
  /** The command that runs bpbroker; `start` follows it. */
  readonly program: readonly string[];
  /** The executable to copy to `program`; absent when it is run from its own place. */
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
  /** The system's user to run as; absent when the manager decides (Windows). */
  readonly user?: string;
  /** Whether to open the system's firewall for it. Windows only. */
  readonly firewall: boolean;
}

/** Installs services on one kind of system. */
export interface ServiceManager {
  /** For people, such as `systemd`. */
  readonly name: string;
  /** Where a person finds the log. */
  readonly log: string;
  /** Files beside the configuration that are not removed: the log, an administrator's files. */
  readonly left: readonly string[];
  /** Installs the service, enables it at boot and starts it; changes an existing one to match. */
  install(spec: ServiceSpec): Promise<readonly Step[]>;
  /**
   * The record of the installed service; `undefined` when none is installed.
   * @throws BrokerError `already_exists` on Windows when one exists of which the tree has no record.
   */
  installed(): Promise<ServiceRecord | undefined>;
  /** Stops the service and removes it; its data stays. */
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
