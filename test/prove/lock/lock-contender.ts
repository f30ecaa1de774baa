import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { executable } from '../programs.ts';

export interface Contenders {
  /** The process that runs `lock` for each contender, where one does now. */
  readonly running: ReadonlySet<ChildProcess>;
  /** How often `lock` has ended, by its exit code or signal. */
  readonly ends: ReadonlyMap<string, number>;
  /** Whether so many runs have been made, and have ended. Throws when one could not be started. */
  isOver(): boolean;
}

export interface ContenderOptions {
  /** In all. */
  readonly runs: number;
  readonly contenders: number;
  readonly locks: readonly string[];
  readonly ttlSeconds: number;
  readonly port: number;
  readonly home: string;
  /** A named pipe that each holder writes lines to: see `parseWrite`. */
  readonly pipe: string;
  /** Has each holder leave a process behind, out of reach, that writes once more when the lock is another's: what must be found. */
  readonly isRogue: boolean;
}

const ROGUE = `
  setsid sh -c 'sleep 1; echo "$BPBROKER_LOCK_NAME $BPBROKER_LOCK_REVISION $$" >&9' &
`;

/** A holder that writes every now and then, for a little while, and then once to an entry that its lock protects. */
const HOLDER = `
  exec 9>"$1"
  i=0
  while [ $i -lt 10 ]; do
    echo "$BPBROKER_LOCK_NAME $BPBROKER_LOCK_REVISION $$" >&9
    sleep 0.02
    i=$((i + 1))
  done
  exec "$2" --quiet service replace --name "fenced/$BPBROKER_LOCK_NAME" --data "$BPBROKER_LOCK_REVISION" --if-locked >/dev/null
`;

/** Runs `lock` again and again, several at once for each lock. */
export function startContenders(options: ContenderOptions): Contenders {
  const { runs, contenders, locks, home } = options;
  const running = new Set<ChildProcess>();
  const ends = new Map<string, number>();
  const client = path.join(path.dirname(executable.command[0] ?? ''), 'bpclient');
  const env = cleanEnv(home, { BPBROKER: `127.0.0.1:${options.port}` });
  let left = runs;
  const runOne = (lock: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const args = ['--quiet', 'lock', '--name', lock, '--wait', '--ttl', `${options.ttlSeconds}s`, '--'];
      const script = options.isRogue ? `exec 9>"$1"\n${ROGUE}${HOLDER}` : HOLDER;
      const command = ['sh', '-c', script, 'holder', options.pipe, client];
      const child = spawn(client, [...args, ...command], { cwd: home, env, stdio: 'ignore' });
      running.add(child);
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        running.delete(child);
        const end = String(code ?? signal);
        ends.set(end, (ends.get(end) ?? 0) + 1);
        resolve();
      });
    });
  const contend = async (n: number): Promise<void> => {
    while (left-- > 0) await runOne(locks[n % locks.length] ?? 'lock');
  };
  let isOver = false;
  let failure: Error | undefined;
  Promise.all(Array.from({ length: contenders }, (_, n) => contend(n))).then(
    () => (isOver = true),
    (error: Error) => (failure = error),
  );
  return {
    running,
    ends,
    isOver() {
      if (failure) throw failure;
      return isOver;
    },
  };
}
