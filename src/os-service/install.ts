import path from 'node:path';
import { type Environment, globalRoot, type Home, homeAt } from '../config/paths.ts';
import { BrokerError } from '../protocol/errors.ts';
import { SERVICE_USER } from './linux/account.ts';
import { checkOwnFolder, checkOwnTree, dataFolders, unreadOptions } from './files/data-files.ts';
import { requireElevation } from './elevation.ts';
import { findManager } from './manager.ts';
import { checkPaths, withoutRootLink } from './files/safe-paths.ts';
import { type OwnProgram, removeCopySteps, serviceProgram } from './program.ts';
import type { ServiceRecord } from './record.ts';
import type { ServiceManager, ServiceSpec } from './service.ts';
import { applySteps, type Step, stepsOn } from './step.ts';
import type { System } from './system.ts';

export interface InstallOptions {
  readonly own: OwnProgram;
  /** Absolute path of the configuration file; absent: that of the tree. */
  readonly config?: string;
  /** How a message calls the option that it is from. Default `--config`. */
  readonly configLabel?: string;
  /**
   * The system's user that the service runs as; Linux only. Default `bpbroker`, which is made. With root,
   * there is no sandbox.
   */
  readonly user?: string;
  /** Whether to open the firewall; Windows only. */
  readonly firewall: boolean;
  /**
   * The port that the broker will listen on. Called once it is certain that the configuration may be read.
   */
  port(): Promise<number>;
  /** Changes nothing, and reports every step. */
  readonly dryRun: boolean;
  /** Called with each step before it is done. */
  tell(step: Step): void;
}

export interface Outcome {
  readonly manager: Pick<ServiceManager, 'name' | 'log'>;
  /** Whether anything had to be done. */
  readonly changed: boolean;
  /** What the user should know of the options of the service: a sentence. */
  readonly note?: string;
}

/** The tree of the machine's service: never a user's own, whoever runs the command. */
export function serviceHome(env: Environment): Home {
  return homeAt(globalRoot(env));
}

/**
 * Installs the service, enables it at boot and starts it. A service that exists is changed to match.
 * @throws BrokerError `usage` for options that this system does not have, and for unsuitable places.
 * @throws BrokerError `forbidden` without root or an administrator.
 * @throws BrokerError `already_exists` when the service exists and is not ours.
 * @throws BrokerError `internal` when a step fails.
 */
export async function installService(system: System, options: InstallOptions): Promise<Outcome> {
  const { own, user, firewall, dryRun, tell } = options;
  refuseForeignOptions(system, options);
  const home = homeAt(await withoutRootLink(system, serviceHome(system.env).root));
  const config = options.config && (await withoutRootLink(system, options.config));
  refuseControlCharacters([home.root, config ?? '', own.file, ...own.args]);
  if (!dryRun) await requireElevation(system, 'install-service');
  const manager = await findManager(system, home.root);
  const runAs = system.platform === 'linux' ? (user ?? SERVICE_USER) : undefined;
  await checkPaths(system, home, config, options.configLabel ?? '--config', runAs ?? 'root');
  const earlier = await manager.installed();
  // The machine's own tree is the broker's whatever it holds. That of an existing service is given away already.
  const ownTrees = [globalRoot({}, system.platform), earlier?.root];
  if (runAs !== undefined && !ownTrees.includes(home.root)) await checkOwnTree(home);
  // The folder of an existing service belongs to a user already.
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
  // The service no longer uses the copy. Before this step, the earlier program may have run from it.
  const unused = earlier && earlier.copy !== program[0] ? removeCopySteps(stepsOn(system), earlier) : [];
  const steps = [...(await manager.install(spec)), ...unused];
  const changed = await applySteps(steps, dryRun, tell);
  const note = runAs === undefined ? undefined : await unreadOptions(system, home, config, runAs);
  return { manager, changed, ...(note !== undefined && { note }) };
}

/** `config`: the file that the service must have. */
type UninstallOptions = Pick<InstallOptions, 'config' | 'configLabel' | 'dryRun' | 'tell'>;

export interface Removal extends Outcome {
  /** Of the service that was removed. */
  readonly record: ServiceRecord;
  /** The places that are left: data, log, an administrator's changes. */
  readonly left: readonly string[];
}

/** Windows takes no notice of case. */
function isSamePath({ platform }: System, one: string, other: string): boolean {
  return platform === 'win32' ? one.toLowerCase() === other.toLowerCase() : one === other;
}

/**
 * Stops the service and removes it. Its data stays.
 * @returns `undefined` when no service is installed.
 * @throws BrokerError `usage` when the service has another file than `config`; `forbidden`; `already_exists`
 * on Windows when the service is not of this tree; `internal` when a step fails.
 */
export async function uninstallService(
  system: System,
  { config, configLabel = '--config', dryRun, tell }: UninstallOptions,
): Promise<Removal | undefined> {
  if (!dryRun) await requireElevation(system, 'uninstall-service');
  const manager = await findManager(system, globalRoot(system.env, system.platform));
  const record = await manager.installed();
  if (!record) return undefined;
  const file = record.config ?? homeAt(record.root).configFile;
  if (config !== undefined && !isSamePath(system, await withoutRootLink(system, config), file))
    throw new BrokerError(
      'usage',
      `The service bpbroker has the file ${file}, and ${configLabel} names ${config}; name that of the service, or leave it out`,
    );
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

/** No service manager can have a line break in a path. */
function refuseControlCharacters(texts: readonly string[]): void {
  // oxlint-disable-next-line no-control-regex
  const bad = texts.find((text) => /[\u0000-\u001f\u007f]/.test(text));
  if (bad === undefined) return;
  throw new BrokerError(
    'usage',
    `Invalid path ${JSON.stringify(bad)}: a service cannot have control characters in it`,
  );
}
