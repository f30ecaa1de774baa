import { recordLine, recordOf, type ServiceRecord } from '../record.ts';
import { copySteps, removeCopySteps } from '../program.ts';
import { recordFor, type ServiceManager, type ServiceSpec, startArguments } from '../service.ts';
import { type Step, stepsOn } from '../step.ts';
import type { System } from '../system.ts';
import { escapeXml } from '../xml.ts';

const LABEL = 'bpbroker';
const plist = `/Library/LaunchDaemons/${LABEL}.plist`;
const LOG_FILE = `/Library/Logs/${LABEL}.log`;
const target = `system/${LABEL}`;

/** The service of macOS. */
export function launchd(system: System): ServiceManager {
  const steps = stepsOn(system);
  const isLoaded = async (): Promise<boolean> =>
    (await system.run(['launchctl', 'print', target])).code === 0;
  // The command returns before the broker has ended. Until then no new one can start.
  const bootout = (needed: (changed: boolean) => Promise<boolean>): Step =>
    steps.run(['launchctl', 'bootout', target], { needed, until: async () => !(await isLoaded()) });
  return {
    name: 'launchd',
    log: LOG_FILE,
    left: [LOG_FILE],
    async install(spec) {
      return [
        ...copySteps(steps, spec),
        steps.definition(plist, launchdPlist(spec), 0o644),
        // A loaded service keeps its old definition until it is unloaded.
        bootout(async (changed) => changed && isLoaded()),
        steps.run(['launchctl', 'enable', target], {
          needed: async (changed) => changed || !(await isLoaded()),
        }),
        steps.run(['launchctl', 'bootstrap', 'system', plist], {
          needed: async (changed) => changed || !(await isLoaded()),
        }),
      ];
    },
    async installed() {
      const text = await system.readText(plist);
      return text === undefined ? undefined : recordOf(text);
    },
    async uninstall(record: ServiceRecord): Promise<readonly Step[]> {
      return [bootout(isLoaded), steps.remove(plist), ...removeCopySteps(steps, record)];
    },
  };
}

/** The text of the property list. */
export function launchdPlist(spec: ServiceSpec): string {
  const { program, home } = spec;
  const words = [...program, ...startArguments(spec)];
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Written by bpbroker install-service, which replaces it.
     ${recordLine(recordFor(spec))} -->
<plist version="1.0">
<dict>
${[
  entry('Label', string(LABEL)),
  entry('ProgramArguments', `<array>${words.map(string).join('')}</array>`),
  entry('EnvironmentVariables', `<dict><key>BPBROKER_HOME</key>${string(home.root)}</dict>`),
  entry('RunAtLoad', '<true/>'),
  entry('KeepAlive', '<true/>'),
  entry('ThrottleInterval', '<integer>2</integer>'),
  // Octal 077.
  entry('Umask', '<integer>63</integer>'),
  entry('ExitTimeOut', '<integer>30</integer>'),
  entry('ProcessType', string('Interactive')),
  entry('WorkingDirectory', string('/')),
  entry('StandardErrorPath', string(LOG_FILE)),
].join('\n')}
</dict>
</plist>
`;
}

function entry(key: string, value: string): string {
  return `  <key>${key}</key>\n  ${value}`;
}

function string(text: string): string {
  return `<string>${escapeXml(text)}</string>`;
}
