import type { ServiceSpec } from '../service.ts';
import { type Step, stepsOn } from '../step.ts';
import type { System } from '../system.ts';
import { logFolder } from './service-wrapper.ts';
import { win32 as path } from 'node:path';

// By their SIDs, because their names are in the language of the machine.
const systemAndAdministrators = ['*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F'];
const usersRead = '*S-1-5-32-545:(OI)(CI)RX';

/**
 * Access rights of the broker's folders. Otherwise every user may read what is below Program Files, access
 * keys included.
 */
export function folderSteps(system: System, { home }: ServiceSpec): { make: Step[]; protect: Step[] } {
  const steps = stepsOn(system);
  const secret = [path.dirname(home.configFile), home.backups, logFolder(home.root)];
  const all = [home.root, path.join(home.root, 'bin'), home.lib, ...secret];
  const allow = (dir: string, ...more: string[]): Step =>
    steps.run(['icacls', dir, '/inheritance:r', '/grant:r', ...systemAndAdministrators, ...more], {
      needed: (changed) => changed,
    });
  return {
    make: all.map((dir) => steps.folder(dir, 0o700)),
    protect: [allow(home.root, usersRead), ...secret.map((dir) => allow(dir))],
  };
}

const rules = [
  ['bpbroker-tcp', 'TCP'],
  ['bpbroker-udp', 'UDP'],
] as const;
const netsh = ['netsh', 'advfirewall', 'firewall'];

/** Lets others reach the API and discovery through the firewall of Windows. */
export function openFirewall(system: System, port: number): Step[] {
  const steps = stepsOn(system);
  const isOpen = async (rule: string): Promise<boolean> => {
    const { code, stdout } = await system.run([...netsh, 'show', 'rule', `name=${rule}`]);
    return code === 0 && new RegExp(`\\b${port}\\b`).test(stdout);
  };
  return rules.flatMap(([rule, protocol]) => [
    steps.run([...netsh, 'delete', 'rule', `name=${rule}`], {
      needed: async () => (await exists(system, rule)) && !(await isOpen(rule)),
    }),
    steps.run(
      [
        ...netsh,
        'add',
        'rule',
        `name=${rule}`,
        'dir=in',
        'action=allow',
        `protocol=${protocol}`,
        `localport=${port}`,
      ],
      { needed: async () => !(await isOpen(rule)) },
    ),
  ]);
}

export function closeFirewall(system: System): Step[] {
  return rules.map(([rule]) =>
    stepsOn(system).run([...netsh, 'delete', 'rule', `name=${rule}`], { needed: () => exists(system, rule) }),
  );
}

async function exists(system: System, rule: string): Promise<boolean> {
  return (await system.run([...netsh, 'show', 'rule', `name=${rule}`])).code === 0;
}
