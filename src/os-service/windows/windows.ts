import type { ServiceManager } from '../service.ts';
import { copySteps, removeCopySteps } from '../program.ts';
import { stepsOn } from '../step.ts';
import type { System } from '../system.ts';
import { logFile, logFolder, type ServiceWrapper } from './service-wrapper.ts';
import { nssm } from './nssm.ts';
import { closeFirewall, folderSteps, openFirewall } from './folders-and-firewall.ts';
import { scheduledTask } from './task.ts';
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
    installed: () => kind.installed(),
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

async function firstOf(
  kinds: readonly ServiceWrapper[],
  condition: (kind: ServiceWrapper) => Promise<boolean>,
): Promise<ServiceWrapper | undefined> {
  for (const kind of kinds) if (await condition(kind)) return kind;
  return undefined;
}
