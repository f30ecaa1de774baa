import { recordLine, recordOf } from '../record.ts';
import { DESCRIPTION, recordFor, SERVICE, type ServiceSpec, startArguments } from '../service.ts';
import { stepsOn } from '../step.ts';
import type { System } from '../system.ts';
import { logFile, serviceFile, type ServiceWrapper, windowsCommandLine } from './service-wrapper.ts';
import { serviceState } from './scm.ts';

/**
 * NSSM keeps its settings in the registry of Windows. Ours are also in a file, so that a change is visible.
 */
export function nssm(system: System, root: string): ServiceWrapper {
  const steps = stepsOn(system);
  const { exists, isRunning, isStopped } = serviceState(system);
  const settingsFile = serviceFile(root, 'bpbroker-nssm.txt');
  return {
    name: 'NSSM',
    available: async () => (await system.findProgram('nssm')) !== undefined,
    async installed() {
      return recordOf((await system.readText(settingsFile)) ?? '');
    },
    async define(spec) {
      const lines = settings(spec).map((words) => `${words.join(' ')}\r\n`);
      const text = `# Written by bpbroker install-service. ${recordLine(recordFor(spec))}\r\n${lines.join('')}`;
      return [steps.definition(settingsFile, text, 0o644)];
    },
    activate: (spec) => [
      steps.run(['nssm', 'install', SERVICE, spec.program[0] ?? ''], {
        needed: async () => !(await exists()),
      }),
      ...settings(spec).map((words) =>
        steps.run(['nssm', 'set', SERVICE, ...words], { needed: (changed) => changed }),
      ),
      steps.run(['nssm', 'stop', SERVICE], {
        needed: async (changed) => changed && isRunning(),
        until: isStopped,
      }),
      steps.run(['nssm', 'start', SERVICE], { needed: async () => !(await isRunning()), until: isRunning }),
    ],
    uninstall: () => [
      steps.run(['nssm', 'stop', SERVICE], { needed: isRunning, until: isStopped }),
      steps.run(['nssm', 'remove', SERVICE, 'confirm'], { needed: exists }),
      steps.remove(settingsFile),
    ],
  };
}

function settings(spec: ServiceSpec): readonly (readonly string[])[] {
  const { program, home } = spec;
  const [file = '', ...before] = program;
  return [
    ['Application', file],
    ['AppParameters', windowsCommandLine([...before, ...startArguments(spec)])],
    ['AppDirectory', home.root],
    ['AppEnvironmentExtra', `BPBROKER_HOME=${home.root}`],
    ['AppStderr', logFile(home)],
    ['AppRotateFiles', '1'],
    ['AppRotateBytes', String(10 * 1024 * 1024)],
    ['AppExit', 'Default', 'Restart'],
    ['AppRestartDelay', '2000'],
    // Time to write everything to its file after Ctrl+C.
    ['AppStopMethodConsole', '15000'],
    ['DisplayName', SERVICE],
    ['Description', DESCRIPTION],
    ['Start', 'SERVICE_AUTO_START'],
  ];
}
