import { recordLine, recordOf } from '../record.ts';
import { DESCRIPTION, recordFor, SERVICE, type ServiceSpec, startArguments } from '../service.ts';
import { stepsOn } from '../step.ts';
import type { System } from '../system.ts';
import { escapeXml } from '../xml.ts';
import { logFile, serviceFile, type ServiceWrapper, windowsCommandLine } from './service-wrapper.ts';

/**
 * A task that starts at boot, as the system. A task has neither variables nor redirection of output, so it
 * runs a batch file that has both.
 */
export function scheduledTask(system: System, root: string): ServiceWrapper {
  const steps = stepsOn(system);
  const definition = serviceFile(root, 'bpbroker-task.xml');
  const batch = serviceFile(root, 'bpbroker-service.cmd');
  const exists = (): Promise<boolean> => taskExists(system);
  // The number, because schtasks prints the state in the language of the machine.
  const isRunning = async (): Promise<boolean> => {
    const { stdout } = await system.run(ask(`[int](Get-ScheduledTask -TaskName ${SERVICE}).State`));
    return stdout.trim() === '4';
  };
  // Ending the task ends only its batch file, so the broker and its processes are ended first.
  const end = [
    'Get-CimInstance Win32_Process -Filter "Name=\'cmd.exe\'"',
    "Where-Object CommandLine -like '*bpbroker-service.cmd*'",
    'ForEach-Object { taskkill /t /f /pid $_.ProcessId }',
  ].join(' | ');
  return {
    name: 'Task Scheduler',
    available: async () => true,
    async installed() {
      return recordOf((await system.readText(definition)) ?? '');
    },
    define: async (spec) => [
      steps.file(batch, batchFile(spec), 0o755),
      steps.definition(definition, taskDefinition(spec, batch), 0o644),
    ],
    activate: () => [
      steps.run(ask(end), { needed: async (changed) => changed && isRunning() }),
      steps.run(['schtasks', '/create', '/tn', SERVICE, '/xml', definition, '/f'], {
        needed: async (changed) => changed || !(await exists()),
      }),
      steps.run(['schtasks', '/run', '/tn', SERVICE], {
        needed: async (changed) => changed || !(await isRunning()),
      }),
    ],
    uninstall: () => [
      steps.run(ask(end), { needed: isRunning }),
      steps.run(['schtasks', '/delete', '/tn', SERVICE, '/f'], { needed: exists }),
      steps.remove(definition),
      steps.remove(batch),
    ],
  };
}

/** Whether a task of our name exists, whoever made it. */
export async function taskExists(system: System): Promise<boolean> {
  return (await system.run(['schtasks', '/query', '/tn', SERVICE])).code === 0;
}

function ask(command: string): readonly string[] {
  return ['powershell', '-NoProfile', '-NonInteractive', '-Command', command];
}

/** What the task runs. Between quotes, a batch file takes everything literally but `%`. */
export function batchFile(spec: ServiceSpec): string {
  const command = windowsCommandLine([...spec.program, ...startArguments(spec)]);
  return [
    '@echo off',
    'rem Written by bpbroker install-service.',
    // The file is in UTF-8.
    'chcp 65001 >nul',
    `set "BPBROKER_HOME=${literal(spec.home.root)}"`,
    `${literal(command)} 2>>"${literal(logFile(spec.home))}"`,
    'exit /b %errorlevel%',
    '',
  ].join('\r\n');
}

function literal(text: string): string {
  return text.replaceAll('%', '%%');
}

/** The task for `schtasks /xml`, in ASCII, because schtasks guesses the encoding. */
export function taskDefinition(spec: ServiceSpec, batch: string): string {
  const text = `<?xml version="1.0"?>
<!-- Written by bpbroker install-service. ${recordLine(recordFor(spec))} -->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>${escapeXml(DESCRIPTION)}</Description></RegistrationInfo>
  <Triggers><BootTrigger><Enabled>true</Enabled></BootTrigger></Triggers>
  <Principals>
    <Principal id="Author"><UserId>S-1-5-18</UserId><RunLevel>HighestAvailable</RunLevel></Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <IdleSettings><StopOnIdleEnd>false</StopOnIdleEnd></IdleSettings>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>5</Priority>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec><Command>"${escapeXml(batch)}"</Command><WorkingDirectory>${escapeXml(spec.home.root)}</WorkingDirectory></Exec>
  </Actions>
</Task>
`;
  return text.replaceAll(/[^\n -~]/gu, (character) => `&#${character.codePointAt(0)};`);
}
