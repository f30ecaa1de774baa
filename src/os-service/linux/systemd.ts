import { homeAt } from '../../config/paths.ts';
import { fatalMessageOf, fatalText } from '../../protocol/formats/fatal-line.ts';
import { accountSteps, removeAccountSteps } from './account.ts';
import { givenFolders } from '../files/data-files.ts';
import { copySteps, removeCopySteps } from '../program.ts';
import { recordOf, type ServiceRecord } from '../record.ts';
import { SERVICE, type ServiceManager, type ServiceSpec } from '../service.ts';
import { type Step, stepsOn } from '../step.ts';
import type { System } from '../system.ts';
import { systemdUnit, unitFile } from './systemd-unit.ts';

const unit = `${SERVICE}.service`;

export function systemd(system: System): ServiceManager {
  const steps = stepsOn(system);
  const says = async (...args: string[]): Promise<boolean> =>
    (await system.run(['systemctl', '--quiet', ...args, unit])).code === 0;

  return {
    name: 'systemd',
    log: `journalctl -u ${SERVICE}`,
    left: [`${unitFile}.d`],
    async install(spec: ServiceSpec) {
      const { user = 'root', home } = spec;
      return [
        ...(await accountSteps(system, steps, user, home.root)),
        ...copySteps(steps, spec),
        steps.definition(unitFile, systemdUnit(spec), 0o644),
        steps.run(['systemctl', 'daemon-reload'], { needed: (changed) => changed }),
        steps.run(['systemctl', 'enable', unit], { needed: async () => !(await says('is-enabled')) }),
        // Returns when the broker answers, or has failed.
        steps.run(['systemctl', 'restart', unit], {
          needed: async (changed) => changed || !(await says('is-active')),
          explain: () => lastWords(system),
        }),
      ];
    },
    async installed() {
      const text = await system.readText(unitFile);
      return text === undefined ? undefined : recordOf(text);
    },
    async uninstall(record: ServiceRecord): Promise<readonly Step[]> {
      const folders = givenFolders(homeAt(record.root), record.config);
      return [
        steps.run(['systemctl', 'disable', '--now', unit]),
        ...removeCopySteps(steps, record),
        ...(record.user === undefined ? [] : await removeAccountSteps(system, steps, record.user, folders)),
        // The unit file tells a second run what is left to do, when one of these steps has failed.
        steps.remove(unitFile),
        steps.run(['systemctl', 'daemon-reload']),
        // Otherwise systemd keeps the unit as failed, even though it no longer exists.
        steps.run(['systemctl', 'reset-failed', unit], { needed: () => says('is-failed') }),
      ];
    },
  };
}

/** Why it did not start, in the broker's own words. */
async function lastWords(system: System): Promise<string> {
  const { stdout } = await system.run(['journalctl', '-u', unit, '-n', '20', '-o', 'cat', '--no-pager']);
  const words = stdout
    .split('\n')
    .map(fatalMessageOf)
    .findLast((message) => message !== undefined);
  const place = `see journalctl -u ${SERVICE}`;
  return words === undefined ? place : `${fatalText(words)}; ${place}`;
}
