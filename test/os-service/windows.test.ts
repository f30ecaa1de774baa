import assert from 'node:assert/strict';
import { win32 as path } from 'node:path';
import { describe, it } from 'node:test';
import type { Home } from '../../src/config/paths.ts';
import { recordOf } from '../../src/os-service/record.ts';
import type { ServiceManager, ServiceSpec } from '../../src/os-service/service.ts';
import { applySteps, type Step } from '../../src/os-service/step.ts';
import { windowsCommandLine } from '../../src/os-service/windows/service-wrapper.ts';
import { batchFile, taskDefinition } from '../../src/os-service/windows/task.ts';
import { windows } from '../../src/os-service/windows/windows.ts';
import { winswSettings } from '../../src/os-service/windows/winsw.ts';
import { run } from '../support/programs/run.ts';
import { type MemorySystem, memorySystem } from './memory-system.ts';

const root = String.raw`C:\Program Files\bpbroker`;

function homeOf(at: string): Home {
  return {
    root: at,
    configFile: path.join(at, 'etc', 'bpbroker.json'),
    lib: path.join(at, 'lib'),
    backups: path.join(at, 'backups'),
  };
}

function specOf(more: Partial<ServiceSpec> = {}): ServiceSpec {
  const program = [path.join(root, 'bin', 'bpbroker-service.exe')];
  const copyOf = String.raw`C:\Users\ann\Downloads\bpbroker.exe`;
  return {
    program,
    copyOf,
    copy: program[0] ?? '',
    version: '1.0.0',
    home: homeOf(root),
    port: 20_443,
    firewall: false,
    ...more,
  };
}

/** A Windows on which the commands do what they say. `exists`: whether it has a service or task of the name. */
function machine(programs: readonly string[] = [], exists = false): MemorySystem {
  let running = false;
  const rules = new Map<string, string>();
  const system = memorySystem({
    platform: 'win32',
    programs,
    answer(command) {
      const [program = '', first = '', second = ''] = command;
      const words = command.join(' ');
      if (program === 'sc') return state();
      if (program === 'schtasks' && first === '/query') return { question: true, code: exists ? 0 : 1 };
      if (words.includes('Get-ScheduledTask')) return { question: true, stdout: running ? '4\r\n' : '3\r\n' };
      if (program === 'netsh') return firewall(words);
      const verb = program === 'schtasks' ? first.slice(1) : first;
      if (words.includes('taskkill') || verb === 'stop') running = false;
      if (verb === 'start' || verb === 'run') running = true;
      if (verb === 'install' || verb === 'create') exists = true;
      if (['remove', 'uninstall', 'delete'].includes(verb)) exists = false;
      return second === 'fail' ? { code: 1 } : undefined;
    },
  });
  const state = (): { question: true; code: number; stdout: string } => ({
    question: true,
    code: exists ? 0 : 1060,
    stdout: `\r\nSERVICE_NAME: bpbroker\r\n        TYP                : 10  WIN32_OWN_PROCESS\r\n        STATUS             : ${running ? '4  RUNNING' : '1  STOPPED'}\r\n        CHECKPOINT : 0x0\r\n`,
  });
  const firewall = (words: string): { question?: boolean; code?: number; stdout?: string } | undefined => {
    const [, verb, name = ''] = /firewall (\w+) rule name=(\S+)/.exec(words) ?? [];
    if (verb === 'show') {
      const port = rules.get(name);
      return { question: true, code: port ? 0 : 1, stdout: `Regel: ${name}\r\nLokaler Port: ${port}\r\n` };
    }
    if (verb === 'add') rules.set(name, /localport=(\d+)/.exec(words)?.[1] ?? '');
    else rules.delete(name);
    return undefined;
  };
  system.files.set(specOf().copyOf ?? '', 'version 1');
  return system;
}

function apply(steps: readonly Step[]): Promise<boolean> {
  return applySteps(steps, false, () => undefined);
}

async function install(system: MemorySystem, spec: ServiceSpec = specOf()): Promise<ServiceManager> {
  const manager = await windows(system, root);
  await apply(await manager.install(spec));
  return manager;
}

/** The commands, without those that set permissions. */
function commandsOf(system: MemorySystem): (readonly string[])[] {
  return system.commands.splice(0).filter(([program]) => program !== 'icacls');
}

const python = await run(['python3', '--version']).then(
  () => false,
  () => "needs the program 'python3'",
);

describe('a command line for Windows', () => {
  it('quotes every word, and doubles backslashes before a quote alone', () => {
    assert.equal(windowsCommandLine([String.raw`C:\x\y.exe`, 'start']), String.raw`"C:\x\y.exe" "start"`);
    assert.equal(windowsCommandLine([String.raw`C:\a b\c`]), String.raw`"C:\a b\c"`);
    assert.equal(windowsCommandLine(['C:\\a b\\']), String.raw`"C:\a b\\"`);
    assert.equal(windowsCommandLine([String.raw`say "\"`]), String.raw`"say \"\\\""`);
    assert.equal(windowsCommandLine(['']), '""');
  });

  it('is taken apart into the same words', { skip: python }, async () => {
    // The rules of the C runtime: python's own inverse of them is the reference.
    // It quotes only what has blanks in it, so all have.
    const words = ['a b', 'c "d', ' e\\', 'f g\\', 'h \\"i', '\\\\server\\x y\\', '', "o' clock"];
    const script = 'import json,subprocess,sys; print(subprocess.list2cmdline(json.load(sys.stdin)))';
    const { stdout } = await run(['python3', '-c', script], { input: JSON.stringify(words) });
    assert.equal(windowsCommandLine(words), stdout.trim());
  });
});

describe('a scheduled task', () => {
  const spec = specOf({
    home: homeOf(String.raw`D:\50% <tree> & "co" ü`.replaceAll('"', '')),
    config: String.raw`D:\R&D^(1)\50%.json`,
  });

  it('its batch file takes names literally', () => {
    const lines = batchFile(spec).split('\r\n');
    assert.ok(lines.includes(String.raw`set "BPBROKER_HOME=D:\50%% <tree> & co ü"`), lines.join('\n'));
    const command = String.raw`"C:\Program Files\bpbroker\bin\bpbroker-service.exe" "start" "--config" "D:\R&D^(1)\50%%.json" 2>>"D:\50%% <tree> & co ü\log\bpbroker.log"`;
    assert.ok(lines.includes(command), lines.join('\n'));
  });

  it(
    'its definition is XML in ASCII, starts at boot as the system, and starts again after a failure',
    { skip: python },
    async () => {
      const batch = path.join(spec.home.root, 'bin', 'bpbroker-service.cmd');
      const text = taskDefinition(spec, batch);
      assert.match(text, /^[\n -~]*$/);
      assert.deepEqual(recordOf(text)?.root, spec.home.root);
      const script = `import json,sys,xml.etree.ElementTree as e
n='{http://schemas.microsoft.com/windows/2004/02/mit/task}'
t=e.fromstring(sys.stdin.read())
f=lambda p: t.find('/'.join(n+x for x in p.split('/'))).text
print(json.dumps([f(p) for p in ['Triggers/BootTrigger/Enabled','Principals/Principal/UserId','Principals/Principal/RunLevel','Settings/RestartOnFailure/Interval','Settings/ExecutionTimeLimit','Actions/Exec/Command']]))`;
      const { code, stdout, stderr } = await run(['python3', '-c', script], { input: text });
      assert.equal(code, 0, stderr);
      assert.deepEqual(JSON.parse(stdout), [
        'true',
        'S-1-5-18',
        'HighestAvailable',
        'PT1M',
        'PT0S',
        `"${batch}"`,
      ]);
    },
  );

  it('is made and run, once', async () => {
    const system = machine();
    const manager = await install(system);
    assert.equal(manager.name, 'Task Scheduler');
    const definition = path.join(root, 'bin', 'bpbroker-task.xml');
    assert.deepEqual(commandsOf(system), [
      ['schtasks', '/create', '/tn', 'bpbroker', '/xml', definition, '/f'],
      ['schtasks', '/run', '/tn', 'bpbroker'],
    ]);
    assert.equal(system.files.get(specOf().program[0] ?? ''), 'version 1');
    assert.equal(await apply(await manager.install(specOf())), false);
    assert.deepEqual(system.commands, []);
  });

  it('is ended with all that it has started, and removed', async () => {
    const system = machine();
    const manager = await install(system);
    commandsOf(system);
    const record = await manager.installed();
    assert.ok(record);
    await apply(await manager.uninstall(record));
    const [end, remove, ...more] = commandsOf(system);
    assert.match(end?.at(-1) ?? '', /bpbroker-service\.cmd.*taskkill \/t \/f/);
    assert.deepEqual([remove, more], [['schtasks', '/delete', '/tn', 'bpbroker', '/f'], []]);
    assert.deepEqual([...system.files.keys()], [specOf().copyOf]);
  });
});

describe('folders and firewall on Windows', () => {
  it('users may not read what the configuration and the log hold', async () => {
    const system = machine();
    await install(system);
    const granted = system.commands.filter(([program]) => program === 'icacls');
    const usersMayRead = granted.filter((command) => command.some((word) => word.includes('S-1-5-32-545')));
    assert.deepEqual(
      usersMayRead.map(([, dir]) => dir),
      [root],
    );
    assert.deepEqual(
      granted.map(([, dir]) => path.relative(root, dir ?? '')),
      ['', 'etc', 'backups', 'log'],
    );
  });

  it('--firewall opens the port for TCP and UDP, follows a change of it, and is closed at the end', async () => {
    const system = machine();
    await install(system, specOf({ firewall: true }));
    const rulesIn = (): string[] =>
      commandsOf(system)
        .filter(([program]) => program === 'netsh')
        .map((words) => words.slice(3).join(' '));
    assert.deepEqual(rulesIn(), [
      'add rule name=bpbroker-tcp dir=in action=allow protocol=TCP localport=20443',
      'add rule name=bpbroker-udp dir=in action=allow protocol=UDP localport=20443',
    ]);
    const manager = await install(system, specOf({ firewall: true, port: 443 }));
    assert.equal(rulesIn().length, 4);
    assert.equal(await apply(await manager.install(specOf({ firewall: true, port: 443 }))), false);
    await apply(await manager.uninstall({ root }));
    assert.deepEqual(rulesIn(), ['delete rule name=bpbroker-tcp', 'delete rule name=bpbroker-udp']);
  });
});

describe('NSSM and WinSW', () => {
  it('NSSM is used if it is on the PATH, and gets its arguments as one command line', async () => {
    const system = machine(['nssm']);
    const spec = specOf({ config: String.raw`D:\my data\a.json` });
    const manager = await install(system, spec);
    assert.equal(manager.name, 'NSSM');
    const commands = commandsOf(system);
    assert.deepEqual(commands[0], ['nssm', 'install', 'bpbroker', spec.program[0]]);
    const parameters = commands.find(([, , , setting]) => setting === 'AppParameters')?.[4];
    assert.equal(parameters, String.raw`"start" "--config" "D:\my data\a.json"`);
    assert.deepEqual(commands.at(-1), ['nssm', 'start', 'bpbroker']);
    assert.equal(await apply(await manager.install(spec)), false);
    system.files.set(specOf().copyOf ?? '', 'version 2');
    await apply(await manager.install(spec));
    assert.deepEqual(
      commandsOf(system)
        .map(([, verb]) => verb)
        .filter((verb) => verb !== 'set'),
      ['stop', 'start'],
    );
    const record = await manager.installed();
    await apply(await manager.uninstall(record ?? { root }));
    assert.deepEqual(commandsOf(system), [
      ['nssm', 'stop', 'bpbroker'],
      ['nssm', 'remove', 'bpbroker', 'confirm'],
    ]);
  });

  it('WinSW is copied beside its settings', { skip: python }, async () => {
    const system = machine(['winsw']);
    system.files.set('winsw-found', 'the program WinSW');
    const manager = await install(system);
    const program = path.join(root, 'bin', 'bpbroker-winsw.exe');
    assert.deepEqual(commandsOf(system), [
      [program, 'install'],
      [program, 'start'],
    ]);
    assert.equal(system.files.get(program), 'the program WinSW');
    assert.equal(await apply(await manager.install(specOf())), false);
    const text = winswSettings(specOf({ config: String.raw`D:\R&D <1>\a b.json` }));
    const script =
      'import sys,xml.etree.ElementTree as e; print(e.fromstring(sys.stdin.read()).find("arguments").text)';
    const { stdout } = await run(['python3', '-c', script], { input: text });
    assert.equal(stdout.trim(), String.raw`"start" "--config" "D:\R&D <1>\a b.json"`);
  });

  it('a service stays with the way that it was installed in', async () => {
    const system = machine();
    await install(system);
    const later = { ...system, findProgram: async (name: string) => name };
    assert.equal((await windows(later, root)).name, 'Task Scheduler');
  });
});

describe("another's service or task of the name", () => {
  for (const programs of [['nssm'], ['winsw'], []]) {
    it(`is left alone, and BPBROKER_HOME is named in case it is ours (${programs[0] ?? 'a task'})`, async () => {
      const system = machine(programs, true);
      const manager = await windows(system, root);
      await assert.rejects(manager.installed(), {
        code: 'already_exists',
        message: String.raw`A service or task 'bpbroker' exists, and C:\Program Files\bpbroker has no record of it; set BPBROKER_HOME as it was at install-service, or remove what something else has made`,
      });
      assert.deepEqual(commandsOf(system), []);
    });

    it(`is none that install-service has made (${programs[0] ?? 'a task'})`, async () => {
      const system = machine(programs);
      assert.equal(await (await windows(system, root)).installed(), undefined);
      await install(system);
      assert.equal((await (await windows(system, root)).installed())?.root, root);
    });
  }
});
