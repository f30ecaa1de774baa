import { recordLine, recordOf } from '../record.ts';
import { DESCRIPTION, recordFor, SERVICE, type ServiceSpec, startArguments } from '../service.ts';
import { stepsOn } from '../step.ts';
import type { System } from '../system.ts';
import { escapeXml } from '../xml.ts';
import { logFolder, serviceFile, type ServiceWrapper, windowsCommandLine } from './service-wrapper.ts';
import { serviceState } from './scm.ts';

/** WinSW is copied beside its settings, a file of the same name: all of its versions find them there. */
export function winsw(system: System, root: string): ServiceWrapper {
  const steps = stepsOn(system);
  const { exists, isRunning, isStopped } = serviceState(system);
  const program = serviceFile(root, 'bpbroker-winsw.exe');
  const settingsFile = serviceFile(root, 'bpbroker-winsw.xml');
  const find = async (): Promise<string | undefined> =>
    (await system.findProgram('winsw')) ?? (await system.findProgram('WinSW-x64'));
  return {
    name: 'WinSW',
    available: async () => (await find()) !== undefined,
    async installed() {
      return recordOf((await system.readText(settingsFile)) ?? '');
    },
    async define(spec) {
      const from = await find();
      const copy = from === undefined ? [] : [steps.copy(from, program)];
      return [...copy, steps.definition(settingsFile, winswSettings(spec), 0o644)];
    },
    activate: () => [
      steps.run([program, 'install'], { needed: async () => !(await exists()) }),
      steps.run([program, 'stop'], { needed: async (changed) => changed && isRunning(), until: isStopped }),
      steps.run([program, 'start'], { needed: async () => !(await isRunning()), until: isRunning }),
    ],
    uninstall: () => [
      steps.run([program, 'stop'], { needed: isRunning, until: isStopped }),
      steps.run([program, 'uninstall'], { needed: exists }),
      steps.remove(settingsFile),
      steps.remove(program),
    ],
  };
}

/** The text of WinSW's settings. */
export function winswSettings(spec: ServiceSpec): string {
  const { program, home } = spec;
  const [file = '', ...before] = program;
  const elements = {
    id: SERVICE,
    name: SERVICE,
    description: DESCRIPTION,
    executable: file,
    arguments: windowsCommandLine([...before, ...startArguments(spec)]),
    workingdirectory: home.root,
    logpath: logFolder(home.root),
    stoptimeout: '15 sec',
    startmode: 'Automatic',
  };
  const lines = Object.entries(elements).map(([name, text]) => `  <${name}>${escapeXml(text)}</${name}>`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by bpbroker install-service. ${recordLine(recordFor(spec))} -->
<service>
${lines.join('\n')}
  <env name="BPBROKER_HOME" value="${escapeXml(home.root)}"/>
  <onfailure action="restart" delay="2 sec"/>
  <log mode="roll-by-size"/>
</service>
`;
}
