import path from 'node:path';
import { type Environment, globalRoot, type Home, homeAt } from '../config/paths.ts';
import { BrokerError } from '../protocol/errors.ts';
import { SERVICE_USER } from './linux/account.ts';
import { checkOwnFolder, dataFolders } from './files/data-files.ts';
import { requireElevation } from './elevation.ts';
import { findManager } from './manager.ts';
import { checkPaths } from './files/safe-paths.ts';
import { type OwnProgram, removeCopySteps, serviceProgram } from './program.ts';
import type { ServiceRecord } from './record.ts';
import type { ServiceManager, ServiceSpec } from './service.ts';
import { applySteps, type Step, stepsOn } from './step.ts';
import type { System } from './system.ts';

export interface InstallOptions {
  readonly own: OwnProgram;
  /** The configuration file, where another than the tree's own was asked for; absolute. */
  readonly config?: string;
  /** The system's user to run as; Linux alone. Default `bpbroker`, which is made; root for no sandbox. */
  readonly user?: string;
  /** Whether to open the firewall; Windows alone. */
  readonly firewall: boolean;
  /** The port that the broker will listen on; asked for once it is sure that the configuration may be read. */
  port(): Promise<number>;
  /** Changes nothing, tells everything. */
  readonly dryRun: boolean;
  /** Told of each step before it is done. */
  tell(step: Step): void;
}

export interface Outcome {
  readonly manager: Pick<ServiceManager, 'name' | 'log'>;
  /** Whether there was anything to do. */
  readonly changed: boolean;
}

/** The tree of the machine's service: never a user's own, whoever runs the command. */
export function serviceHome(env: Environment): Home {
  return homeAt(globalRoot(env));
}

/**
 * Installs the service, enables it at boot and starts it, or brings one that exists to what is asked for.
 * @throws BrokerError `usage` for what this system has not or a place that will not do, `forbidden` without root or an
 *   administrator, `already_exists` where another's service of the name exists, `internal` when a step fails.
 */
export async function installService(system: System, options: InstallOptions): Promise<Outcome> {
  const { own, config, user, firewall, dryRun, tell } = options;
  refuseForeignOptions(system, options);
  const home = serviceHome(system.env);
  refuseControlCharacters([home.root, config ?? '', own.file, ...own.args]);
  if (!dryRun) await requireElevation(system, 'install-service');
  const manager = await findManager(system, home.root);
  const runAs = system.platform === 'linux' ? (user ?? SERVICE_USER) : undefined;
  await checkPaths(system, home, config, runAs ?? 'root');
  const earlier = await manager.installed();
  // The folder of a service that exists has been given to a user already.
  const given = earlier?.user === 'root' ? undefined : earlier?.config;
  if (config !== undefined && config !== given && runAs !== undefined && runAs !== 'root') {
    await checkOwnFolder(config);
  }
  const { program, copyOf, copy = earlier?.copy } = await serviceProgram(system, home, own);
  const spec: ServiceSpec = {
    program,
    ...(copyOf !== undefined && { copyOf }),
    ...(copy !== undefined && { copy }),
    version: own.version,
    home,
    ...(config !== undefined && { config }),
    ...(runAs !== undefined && { user: runAs }),
    port: await options.port(),
    firewall,
  };
  // What runs now has no use for it; until here the earlier program may have run.
  const unused = earlier && earlier.copy !== program[0] ? removeCopySteps(stepsOn(system), earlier) : [];
  const steps = [...(await manager.install(spec)), ...unused];
  return { manager, changed: await applySteps(steps, dryRun, tell) };
}

export type UninstallOptions = Pick<InstallOptions, 'dryRun' | 'tell'>;

export interface Removal extends Outcome {
  /** Of the service that was removed. */
  readonly record: ServiceRecord;
  /** What is left: data, log, an administrator's changes. */
  readonly left: readonly string[];
}

/**
 * Stops the service and removes it. Its data stays.
 * @returns nothing where no service is installed. @throws BrokerError `forbidden`, or `internal` when a step fails.
 */
export async function uninstallService(
  system: System,
  { dryRun, tell }: UninstallOptions,
): Promise<Removal | undefined> {
  if (!dryRun) await requireElevation(system, 'uninstall-service');
  const manager = await findManager(system, globalRoot(system.env, system.platform));
  const record = await manager.installed();
  if (!record) return undefined;
  const changed = await applySteps(await manager.uninstall(record), dryRun, tell);
  const home = homeAt(record.root);
  const [own, backups] = dataFolders(home, record.config);
  const apart = path.dirname(backups) === own ? [] : [backups];
  const left: string[] = [];
  for (const place of [own, home.lib, ...apart, ...manager.left])
    if (await system.stat(place)) left.push(place);
  return { manager, record, changed, left };
}

function refuseForeignOptions({ platform }: System, { user, firewall }: InstallOptions): void {
  if (user !== undefined && platform !== 'linux') {
    throw new BrokerError('usage', '--user is for Linux; elsewhere the service runs as the system itself');
  }
  if (firewall && platform !== 'win32') {
    throw new BrokerError(
      'usage',
      '--firewall is for Windows; elsewhere open the port with the firewall in use',
    );
  }
}

/** No service manager has a way to write a line break into a path. */
function refuseControlCharacters(texts: readonly string[]): void {
  // oxlint-disable-next-line no-control-regex
  const bad = texts.find((text) => /[\u0000-\u001f\u007f]/.test(text));
  if (bad === undefined) return;
  throw new BrokerError(
    'usage',
    `Invalid path ${JSON.stringify(bad)}: a service cannot have control characters in it`,
  );
}
