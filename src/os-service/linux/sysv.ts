import { homeAt } from '../../config/paths.ts';
import { accountSteps, removeAccountSteps } from './account.ts';
import { givenFolders } from '../files/data-files.ts';
import { copySteps, removeCopySteps } from '../program.ts';
import { recordOf, type ServiceRecord } from '../record.ts';
import { SERVICE, type ServiceManager, type ServiceSpec } from '../service.ts';
import { type Step, stepsOn } from '../step.ts';
import type { System } from '../system.ts';
import { LOG_FILE, SCRIPT_FILE as script, sysvScript } from './sysv-script.ts';

const rotation = `/etc/logrotate.d/${SERVICE}`;

/** The broker keeps its log open, so logrotate copies and empties it. */
const rotationRules = `${LOG_FILE} {
  weekly
  rotate 4
  compress
  missingok
  notifempty
  copytruncate
}
`;

/** The service of Linux without systemd. */
export function sysv(system: System): ServiceManager {
  const steps = stepsOn(system);
  const isRunning = async (): Promise<boolean> => (await system.run([script, 'status'])).code === 0;
  /** Whether the script is ours and has another text. */
  const isReplaced = async (text: string): Promise<boolean> => {
    const present = await system.readText(script);
    return present !== undefined && present !== text && recordOf(present) !== undefined;
  };
  const isLinked = async (): Promise<boolean> => {
    const { stdout } = await system.run(['find', '/etc/rc2.d', '/etc/rc.d/rc2.d', '-name', `S*${SERVICE}`]);
    return stdout.trim() !== '';
  };

  return {
    name: 'SysV init',
    log: LOG_FILE,
    left: [LOG_FILE],
    async install(spec: ServiceSpec) {
      const { user = 'root', home } = spec;
      const rotates = (await system.stat('/etc/logrotate.d'))?.kind === 'folder';
      const chkconfig = await system.findProgram('chkconfig');
      const enable = chkconfig ? ['chkconfig', '--add', SERVICE] : ['update-rc.d', SERVICE, 'defaults'];
      const text = sysvScript(spec);
      return [
        ...(await accountSteps(system, steps, user, home.root)),
        ...copySteps(steps, spec),
        // The present script knows its broker by its program, and the next one may have another.
        steps.run([script, 'stop'], { needed: () => isReplaced(text) }),
        steps.definition(script, text, 0o755),
        ...(rotates ? [steps.file(rotation, rotationRules, 0o644)] : []),
        steps.run(enable, { needed: async () => !(await isLinked()) }),
        steps.run([script, 'restart'], { needed: async (changed) => changed || !(await isRunning()) }),
      ];
    },
    async installed() {
      const text = await system.readText(script);
      return text === undefined ? undefined : recordOf(text);
    },
    async uninstall(record: ServiceRecord): Promise<readonly Step[]> {
      const chkconfig = await system.findProgram('chkconfig');
      const remove = steps.remove(script);
      const folders = givenFolders(homeAt(record.root), record.config);
      return [
        steps.run([script, 'stop']),
        steps.remove(rotation),
        ...removeCopySteps(steps, record),
        ...(record.user === undefined ? [] : await removeAccountSteps(system, steps, record.user, folders)),
        // Last: the script tells a second run what is left to do, when one of these steps has failed.
        ...(chkconfig ? [steps.run(['chkconfig', '--del', SERVICE]), remove] : []),
        // It removes the links only after the script is gone.
        ...(chkconfig ? [] : [remove, steps.run(['update-rc.d', SERVICE, 'remove'])]),
      ];
    },
  };
}
