import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd } from '../cleanup.ts';
import { run, type RunOptions, type RunResult } from '../programs/run.ts';
import { killIfThere } from '../teardown.ts';
import { waitFor } from '../wait.ts';

/** What process 1 is, and so which packages Debian needs. */
export type Init = 'systemd' | 'sysvinit';

const packages: Readonly<Record<Init, string>> = {
  systemd: 'systemd,systemd-sysv',
  sysvinit: 'sysvinit-core,logrotate',
};

/** A Debian of its own, booted in a container that reaches no network. */
export interface Debian {
  /** Its files. */
  readonly root: string;
  /** Runs a program in it as root; `env` is its whole environment but for PATH and HOME. */
  run(command: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** As {@link run}; throws unless it exits with 0. Returns what it printed, without the last line break. */
  ok(command: readonly string[], options?: RunOptions): Promise<string>;
  /** Shuts it down as a person would, and boots it again. */
  reboot(): Promise<void>;
}

/**
 * Why no Debian with that init can be booted here, or nothing when it can. For `skip`. The first time on a machine it
 * downloads one (a minute), which is kept in the system's folder for temporary files.
 */
export function debianProblem(init: Init): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = ['debootstrap', 'systemd-nspawn', 'nsenter'].find(
    (program) => spawnSync(program, ['--version']).error,
  );
  if (missing !== undefined) return `needs the program '${missing}'`;
  return ensureTree(init);
}

function treeOf(init: Init): string {
  return path.join(tmpdir(), `bpbroker-debian-12-${init}`);
}

/** Returns why there is none. */
function ensureTree(init: Init): string | undefined {
  const tree = treeOf(init);
  if (existsSync(tree)) return undefined;
  const staged = mkdtempSync(`${tree}-`);
  try {
    const args = ['--variant=minbase', `--include=${packages[init]}`, 'bookworm', staged];
    const { status, stdout } = spawnSync('debootstrap', args, { encoding: 'utf8', timeout: 240_000 });
    if (status !== 0) return `debootstrap failed: ${stdout.trim().split('\n').at(-1) ?? ''}`;
    spawnSync('chmod', ['755', staged]);
    rmSync(path.join(staged, 'var/cache/apt/archives'), { recursive: true, force: true });
    try {
      renameSync(staged, tree);
    } catch (error) {
      // Another test may have been as far in the meantime.
      if (!existsSync(tree)) throw error;
    }
    return undefined;
  } finally {
    rmSync(staged, { recursive: true, force: true });
  }
}

/** Copies the files of one to a folder of its own, which the caller removes. */
export function copyDebian(init: Init): string {
  const root = mkdtempSync(path.join(tmpdir(), 'bpbroker-boot-'));
  const copied = spawnSync('cp', ['-a', '--reflink=auto', `${treeOf(init)}/.`, root], { encoding: 'utf8' });
  if (copied.status !== 0) throw new Error(copied.stderr);
  return root;
}

/**
 * Boots one. It is killed and removed when the tests of the file have ended.
 * @param bind folders of this machine that it sees read-only, by where it sees them.
 */
export async function bootDebian(init: Init, bind: Readonly<Record<string, string>> = {}): Promise<Debian> {
  const root = copyDebian(init);
  let container: Container | undefined;
  atEnd(() => {
    if (container) end(container.child);
    rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });
  container = await boot(init, root, bind);

  const runIn: Debian['run'] = (command, options = {}) => {
    const base = {
      PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
      HOME: '/root',
      BPBROKER_INTERFACES: 'lo',
    };
    const enter = ['nsenter', '--all', '--target', String(container?.leader)];
    // A busy machine takes long to copy some hundred MiB.
    const timeoutMs = 120_000;
    return run([...enter, ...command], { timeoutMs, ...options, env: { ...base, ...options.env } });
  };
  return {
    root,
    run: runIn,
    async ok(command, options) {
      const { code, stdout, stderr } = await runIn(command, options);
      if (code !== 0) throw new Error(`${command.join(' ')} exited with ${code}: ${stderr}${stdout}`);
      return stdout.replace(/\n$/, '');
    },
    async reboot() {
      await runIn(['poweroff']);
      const { child } = container as Container;
      if (child.exitCode === null)
        await Promise.race([once(child, 'exit'), sleep(30_000, undefined, { ref: false })]);
      if (child.exitCode === null) throw new Error('It did not shut down within 30 s');
      container = await boot(init, root, bind);
    },
  };
}

/** Copies a file, or a folder, of this machine into it. */
export function putInto({ root }: Debian, from: string, to: string): void {
  cpSync(from, path.join(root, to), { recursive: true, dereference: true });
}

interface Container {
  readonly child: ChildProcess;
  /** The process that is 1 within. */
  readonly leader: number;
}

/** Kills the machine with its process 1; to kill the program alone leaves it running. */
function end(child: ChildProcess): void {
  for (const pid of childrenOf(child)) killIfThere(pid);
  child.kill('SIGKILL');
}

function childrenOf({ pid, exitCode, signalCode }: ChildProcess): number[] {
  if (exitCode !== null || signalCode !== null) return [];
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch (error) {
    // It has ended, and this process has not been notified yet.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

async function boot(init: Init, root: string, bind: Readonly<Record<string, string>>): Promise<Container> {
  const binds = Object.entries(bind).map(([to, from]) => `--bind-ro=${from}:${to}`);
  const child = spawn(
    'systemd-nspawn',
    ['-q', '-D', root, '-b', '--register=no', '--keep-unit', '--private-network', '--console=pipe', ...binds],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
  try {
    const booted = init === 'systemd' ? ['systemctl', 'is-active', 'multi-user.target'] : ['runlevel'];
    const leader = await waitFor(
      'the boot to end',
      async () => {
        if (child.exitCode !== null) throw new Error('systemd-nspawn has ended');
        // Asked each time: at first it is a process that only prepares the container.
        const pid = childrenOf(child).at(-1);
        const enter = ['nsenter', '--all', '--target', String(pid)];
        const { code, stdout } = await run([...enter, ...booted]);
        const isUp = code === 0 && (init === 'systemd' || /^\S+ 2$/m.test(stdout));
        return isUp ? pid : undefined;
      },
      60_000,
    );
    return { child, leader };
  } catch (error) {
    end(child);
    throw new Error(`It did not boot; it printed:\n${printed.slice(-2000)}`, { cause: error });
  }
}
