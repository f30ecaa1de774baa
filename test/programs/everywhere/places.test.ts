import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { writeExtensions } from '../../support/registry/extensions.ts';
import { cleanEnv, type Launcher, launchers, run, type RunResult } from '../../support/programs/programs.ts';
import { follow, freePort, type Running, skipOf } from '../support.ts';
import { atEnd } from '../../support/cleanup.ts';
import { killIfThere, unmount } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';

/** What is odd about where the programs run. Its commands run `"$@"`, the program with its arguments. */
interface Place {
  /** For `sh -c`, to start the broker with. */
  readonly broker?: string;
  /** For `sh -c`, to run each client command with; default: as the broker. */
  readonly client?: string;
  /** Variables that no program gets. */
  readonly without?: readonly string[];
  /** Nor a tree of its own: then extensions have no place that a test may write to. */
  readonly withoutTree?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** What it needs besides `sh`; it is skipped where one is missing. */
  readonly programs?: readonly string[];
  readonly needsRoot?: boolean;
  /** Runs as that user: the executable alone. */
  readonly uid?: number;
  /** What the broker says at its start. */
  readonly says?: RegExp;
  /** The working directory cannot be written, by root either. */
  readonly readOnly?: boolean;
}

const UID = 54_321;
const as = `exec setpriv --reuid ${UID} --regid ${UID} --clear-groups "$@"`;

/** The account's entry names a home of the test's: without a HOME, programs would write to the real one. */
const atHome = 'exec unshare --mount sh -c \'mount --bind "$PASSWD" /etc/passwd && exec "$@"\' sh "$@"';
const noHome: Place = {
  broker: atHome,
  without: ['HOME', 'XDG_CONFIG_HOME'],
  programs: ['unshare'],
  needsRoot: true,
};

const places: Readonly<Record<string, Place>> = {
  'no HOME': noHome,
  'no HOME and no tree': { ...noHome, withoutTree: true },
  'an unknown uid': { broker: as, programs: ['setpriv'], needsRoot: true, uid: UID },
  'an unknown uid without a HOME': {
    broker: as,
    without: ['HOME', 'XDG_CONFIG_HOME'],
    withoutTree: true,
    programs: ['setpriv'],
    needsRoot: true,
    uid: UID,
  },
  'descriptor 0 closed': { broker: 'exec "$@" <&-' },
  'descriptor 1 closed': { broker: 'exec "$@" >&-', client: 'exec "$@"' },
  'descriptor 2 closed': { broker: 'exec "$@" 2>&-' },
  'descriptors 0 to 2 closed': { broker: 'exec "$@" <&- >&- 2>&-', client: 'exec "$@" <&- 2>&-' },
  'a full standard output': { broker: 'exec "$@" >/dev/full', client: 'exec "$@"' },
  'a full standard error': { broker: 'exec "$@" 2>/dev/full' },
  '/dev/full for 0 to 2': {
    broker: 'exec "$@" </dev/full >/dev/full 2>/dev/full',
    client: 'exec "$@" 2>/dev/full',
  },
  'a standard error that nobody reads': { broker: 'exec "$@" 2>"$STALLED"' },
  'a read-only working directory': { readOnly: true, needsRoot: true },
  'umask 000': { broker: 'umask 000; exec "$@"' },
  'umask 077': { broker: 'umask 077; exec "$@"' },
  'LANG=C': { env: { LANG: 'C', LC_ALL: 'C' } },
  'ulimit -n 64': { broker: 'ulimit -n 64; exec "$@"' },
  'process 1': {
    broker: 'exec unshare --pid --fork --kill-child --mount-proc "$@"',
    client: 'exec "$@"',
    says: /warn the broker is process 1 here: .* \(docker run --init\)$/m,
    programs: ['unshare'],
    needsRoot: true,
  },
  'a clock at 1970': {
    broker: 'exec faketime -f "@1970-01-01 00:00:10" "$@"',
    // Waits go by the monotonic clock, which no step of the other one changes.
    env: { FAKETIME_DONT_FAKE_MONOTONIC: '1' },
    programs: ['faketime'],
  },
};

function skip(place: Place, launcher: Launcher): string | false {
  if (process.platform !== 'linux') return 'needs Linux';
  if (place.needsRoot && process.getuid?.() !== 0) return 'needs root';
  const missing = place.programs?.find((program) => spawnSync(program, ['--version']).error);
  if (missing !== undefined) return `needs the program '${missing}'`;
  return skipOf(launcher);
}

/** What a place is for one run: a broker's folder and port, and how to run things there. */
interface Stage {
  readonly dir: string;
  readonly port: number;
  start(): Running;
  client(args: readonly string[]): Promise<RunResult>;
  /** As `client`, without the broker's address. */
  finder(args: readonly string[]): Promise<RunResult>;
}

async function stageFor(place: Place, launcher: Launcher): Promise<Stage> {
  const dir = tempDir();
  const port = await freePort();
  const cwd = path.join(dir, 'cwd');
  mkdirSync(cwd);
  const config = { api: { listen_port: port, listen_ip: '127.0.0.1' }, say: {}, services: {}, ping: {} };
  const configFile = path.join(dir, 'bpbroker.json');
  writeFileSync(configFile, JSON.stringify(config), { mode: 0o600 });
  writeExtensions(dir, { say: '#!/bin/sh\necho "said $1"\n' });
  const stalled = path.join(dir, 'stalled');
  if (place.broker?.includes('$STALLED')) stall(stalled);
  if (place.uid !== undefined) giveTo(dir, place.uid);
  if (place.readOnly) lock(cwd);
  const passwd = path.join(dir, 'passwd');
  writeFileSync(passwd, `root:x:0:0:root:${path.join(dir, 'home')}:/bin/sh\n`);
  const env = cleanEnv(dir, { STALLED: stalled, PASSWD: passwd, ...place.env });
  for (const name of [...(place.without ?? []), ...(place.withoutTree ? ['BPBROKER_HOME'] : [])])
    delete env[name];
  const programs = place.uid ? publicCopies(launcher) : launcher;
  const shell = (script: string | undefined, command: readonly string[]): string[] => [
    'sh',
    '-c',
    script ?? 'exec "$@"',
    'sh',
    ...command,
  ];
  const runClient = (args: readonly string[]): Promise<RunResult> =>
    run(shell(place.client ?? place.broker, [...programs.bpclient, ...args]), { cwd, env });
  return {
    dir,
    port,
    start() {
      const [file = '', ...args] = shell(place.broker, [
        ...programs.bpbroker,
        'start',
        '--config',
        configFile,
      ]);
      const child = spawn(file, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
      return follow(child);
    },
    client: (args) => runClient(['--bpbroker', `127.0.0.1:${port}`, ...args]),
    finder: runClient,
  };
}

/** A pipe that is full, and that nobody reads. */
function stall(file: string): void {
  spawnSync('mkfifo', [file]);
  const reader = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
  atEnd(() => closeSync(reader));
  spawnSync('sh', ['-c', 'timeout 1 dd if=/dev/zero of="$1" bs=4096 oflag=nonblock 2>/dev/null', 'sh', file]);
}

function giveTo(dir: string, uid: number): void {
  spawnSync('chown', ['-R', `${uid}:${uid}`, dir]);
}

/** Read-only even for root. */
function lock(dir: string): void {
  const mount = (...args: string[]): void => {
    const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  };
  mount('--bind', dir, dir);
  atEnd(() => unmount(dir));
  mount('-o', 'remount,ro,bind', dir);
}

/** Where any user may run them. */
function publicCopies({ bpbroker, bpclient }: Launcher): Pick<Launcher, 'bpbroker' | 'bpclient'> {
  const dir = tempDir();
  chmodSync(dir, 0o755);
  const copy = ([file = '']: readonly string[]): string[] => {
    const to = path.join(dir, path.basename(file));
    copyFileSync(file, to);
    chmodSync(to, 0o755);
    return [to];
  };
  return { bpbroker: copy(bpbroker), bpclient: copy(bpclient) };
}

/** The broker itself: `unshare` and `faketime` are its parents; nothing when it has ended. */
function brokerProcess({ child: { pid, exitCode, signalCode } }: Running, place: string): number | undefined {
  if (pid === undefined || exitCode !== null || signalCode !== null) return undefined;
  if (place !== 'process 1' && place !== 'a clock at 1970') return pid;
  const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').find(Boolean);
  return child === undefined ? undefined : Number(child);
}

function endBroker(broker: Running, place: string, signal: NodeJS.Signals): void {
  const pid = brokerProcess(broker, place);
  if (pid !== undefined) killIfThere(pid, signal);
}

for (const launcher of launchers) {
  describe(`the core of the programs on ${launcher.name}, in odd places`, () => {
    for (const [name, place] of Object.entries(places)) {
      // `accounts.test.ts` runs the other programs as that user.
      if (place.uid !== undefined && launcher.name !== 'executable') continue;
      it(name, { skip: skip(place, launcher), timeout: 120_000 }, async () => {
        const stage = await stageFor(place, launcher);
        const broker = stage.start();
        atEnd(() => endBroker(broker, name, 'SIGKILL'));
        const answers = async (args: string[], stdout: string): Promise<void> => {
          const result = await stage.client(args);
          assert.deepEqual(
            [result.code, result.stdout],
            [0, stdout],
            `${args.join(' ')}: ${result.stderr}${broker.stderr()}`,
          );
        };
        await waitFor(
          'the broker to answer',
          async () => {
            if (broker.child.exitCode !== null) return true;
            return (await stage.client(['ping', '--data', 'x'])).code === 0;
          },
          60_000,
        ).catch(async (error) => {
          const last = await stage.client(['ping', '--data', 'x']);
          throw new Error(`No answer: ${last.code} ${last.stdout} ${last.stderr} ${broker.stderr()}`, {
            cause: error,
          });
        });
        assert.equal(broker.child.exitCode, null, `it ended: ${broker.stderr()}`);
        if (place.says) assert.match(broker.stderr(), place.says);
        await answers(['ping', '--data', 'pong é'], 'pong é\n');
        await answers(['service', 'register', '--name', 'foo', '--data', 'bär'], 'bär\n');
        await answers(['service', 'get', '--name', 'foo'], 'bär\n');
        const none = await stage.client(['service', 'get', '--name', 'none']);
        assert.equal(none.code, 3, none.stderr);
        const taken = await stage.client(['service', 'register', '--name', 'foo', '--data', 'again']);
        assert.equal(taken.code, 4, taken.stderr);
        const found = await stage.finder(['discover', '--name', 'foo', '--port', String(stage.port)]);
        assert.match(found.stdout, new RegExp(`^127\\.0\\.0\\.1(:${stage.port})?\n$`), found.stderr);
        if (!place.withoutTree) await answers(['execute', '--method', 'say.Hello'], 'said Hello\n');
        endBroker(broker, name, 'SIGTERM');
        await waitFor(
          'the broker to end',
          () => broker.child.exitCode !== null || broker.child.signalCode !== null,
          20_000,
        );
        assert.equal(broker.child.exitCode, 0, broker.stderr());
        // What was acknowledged is there again.
        const again = stage.start();
        atEnd(() => endBroker(again, name, 'SIGKILL'));
        await waitFor(
          'the entry',
          async () => (await stage.client(['service', 'get', '--name', 'foo'])).stdout === 'bär\n',
          60_000,
        );
        endBroker(again, name, 'SIGKILL');
        await again.ended;
      });
    }
  });
}
