import { BrokerError } from '../protocol/errors.ts';
import { launchd } from './macos/launchd.ts';
import type { ServiceManager } from './service.ts';
import type { System } from './system.ts';
import { systemd } from './linux/systemd.ts';
import { sysv } from './linux/sysv.ts';
import { windows } from './windows/windows.ts';

/**
 * The service manager of this machine: one that runs, and not one that is only installed.
 * @param root the tree of `BPBROKER_HOME`.
 * @throws BrokerError `unavailable` when there is no known one.
 */
export async function findManager(system: System, root: string): Promise<ServiceManager> {
  if (system.platform === 'win32') return windows(system, root);
  if (system.platform === 'darwin') return launchd(system);
  if (system.platform === 'linux') {
    if (await system.stat('/run/systemd/system')) return systemd(system);
    if ((await system.stat('/etc/init.d')) && (await canLink(system))) return sysv(system);
  }
  throw new BrokerError(
    'unavailable',
    `No service manager found on this ${system.platform} machine: expected systemd, SysV init with update-rc.d or chkconfig, launchd or Windows`,
  );
}

async function canLink(system: System): Promise<boolean> {
  const found = await Promise.all(['update-rc.d', 'chkconfig'].map((name) => system.findProgram(name)));
  return found.some((file) => file !== undefined);
}
