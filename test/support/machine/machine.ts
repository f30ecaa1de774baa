import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { atEnd } from '../cleanup.ts';
import { lacking } from '../programs/tools.ts';
import { netnsProblem } from '../network/netns.ts';
import { waitFor } from '../wait.ts';

/**
 * A machine of its own to try things on as root: its network, network namespaces, mounts, host name and
 * processes are apart from this machine's, and gone with it. Its files are this machine's.
 */
export interface Machine {
  /** What a command is put behind to run there, in a folder. */
  opener(dir: string): readonly string[];
}

/** Why there can be none here; for `skip`. */
export function machineProblem(): string | false {
  return lacking('unshare', 'nsenter') || (netnsProblem() ?? false);
}

/** Bash is its first process, since it waits for what others leave running. It ends, and all with it, when the tests of the file do. */
const init = 'mkdir -p /run/netns && mount -t tmpfs none /run/netns && echo up && read -r _';

const apart = ['--net', '--mount', '--uts', '--pid'];

export async function createMachine(): Promise<Machine> {
  const flags = [...apart, '--fork', '--kill-child', '--mount-proc'];
  const holder = spawn('unshare', [...flags, 'bash', '-c', init], { stdio: ['pipe', 'pipe', 'inherit'] });
  atEnd(() => holder.kill('SIGKILL'));
  let printed = '';
  holder.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  await waitFor('the machine', () => printed.includes('up'));
  const first = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim();
  return { opener: (dir) => ['nsenter', '--target', first, ...apart, `--wd=${dir}`] };
}
