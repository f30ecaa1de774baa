import { BrokerError } from '../../protocol/errors.ts';
import { SERVICE, type ServiceManager } from '../service.ts';
import { copySteps, removeCopySteps } from '../program.ts';
import { stepsOn } from '../step.ts';
import type { System } from '../system.ts';
import { logFile, logFolder, type ServiceWrapper } from './service-wrapper.ts';
import { nssm } from './nssm.ts';
import { serviceState } from './scm.ts';
import { closeFirewall, folderSteps, openFirewall } from './folders-and-firewall.ts';
import { scheduledTask, taskExists } from './task.ts';
import { winsw } from './winsw.ts';

/**
 * Windows accepts a program as a service only if it speaks the protocol of services, which no runtime does.
 * NSSM and WinSW do so for it. If neither is on the PATH, a task that starts at boot is used. An existing
 * service stays with the way in which it was installed.
 */
export async function windows(system: System, root: string): Promise<ServiceManager> {
  const kinds = [nssm(system, root), winsw(system, root), scheduledTask(system, root)];
  const kind =
    (await firstOf(kinds, async (one) => (await one.installed()) !== undefined)) ??
    (await firstOf(kinds, (one) => one.available())) ??
    scheduledTask(system, root);
  const steps = stepsOn(system);
  return {
    name: kind.name,
    log: logFile({ root }),
    left: [logFolder(root)],
    async installed() {
      const record = await kind.installed();
      if (record === undefined) await refuseForeign(system, root);
      return record;
    },
    async install(spec) {
      const { make, protect } = folderSteps(system, spec);
      return [
        ...make,
        ...copySteps(steps, spec),
        ...(await kind.define(spec)),
        ...protect,
        ...(spec.firewall ? openFirewall(system, spec.port) : []),
        ...kind.activate(spec),
      ];
    },
    async uninstall(record) {
      return [...kind.uninstall(record), ...removeCopySteps(steps, record), ...closeFirewall(system)];
    },
  };
}

/** Our record is in the tree, so that another's service and one of another tree look the same here. */
async function refuseForeign(system: System, root: string): Promise<void> {
  if (!(await serviceState(system).exists()) && !(await taskExists(system))) return;
  throw new BrokerError(
    'already_exists',
    `A service or task '${SERVICE}' exists, and ${root} has no record of it; set BPBROKER_HOME as it was at install-service, or remove what something else has made`,
  );
}

async function firstOf(
  kinds: readonly ServiceWrapper[],
  condition: (kind: ServiceWrapper) => Promise<boolean>,
): Promise<ServiceWrapper | undefined> {
  for (const kind of kinds) if (await condition(kind)) return kind;
  return undefined;
}
