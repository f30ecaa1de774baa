/** Rows whose long form is that of a test of the suite (`BPBROKER_LONG=1`): run as a process, its figures read from it. */
import { spawn } from 'node:child_process';
import { root, tool } from '../../../build/root.ts';
import type { Row, RowSetup } from '../row.ts';

interface Suite {
  readonly name: string;
  readonly shows: string;
  readonly what: string;
  readonly files: readonly string[];
  /** Of the tests' names; default: all. */
  readonly pattern?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Seconds that the long form may take. */
  readonly long: number;
}

const suites: readonly Suite[] = [
  {
    name: 'torn',
    shows: '6',
    what: 'a journal cut at every byte of its last record, and tails of NULs',
    files: ['test/store/file/journal/file-torn.test.ts'],
    pattern: 'a journal cut short',
    long: 300,
  },
  {
    name: 'flips',
    shows: '7',
    what: 'every bit of a journal and of the file changed; records missing, repeated, swapped',
    files: ['test/store/file/file-damage.test.ts'],
    pattern: 'changed on the disk|whole records',
    long: 900,
  },
  {
    name: 'mutations',
    shows: '14',
    what: '100,000 journals mutated at random',
    files: ['test/store/file/file-damage.test.ts'],
    pattern: 'mutated at random',
    long: 900,
  },
  {
    name: 'switch',
    shows: '8',
    what: 'a crash before each step of starting, rewriting, going over to a new journal and closing, and while recovering from it',
    files: ['test/store/file/file-crash.test.ts'],
    pattern: 'a crash before any step',
    long: 300,
  },
  {
    name: 'refused',
    shows: '9',
    what: 'damaged, foreign, stale and hand-edited files; a second broker on the same file',
    files: ['test/store/file/document/file-document.test.ts', 'test/store/file/lock.test.ts'],
    long: 300,
  },
  {
    name: 'backups',
    shows: '18',
    what: 'every byte of a backup changed and every cut; a restore cut short at each step',
    files: [
      'test/store/file/backup.test.ts',
      'test/programs/backups/backup.test.ts',
      'test/programs/backups/restore.test.ts',
    ],
    long: 900,
  },
  {
    name: 'requests',
    shows: '14',
    what: '100,000 fuzzed requests to the executable',
    files: ['test/security/fuzz.test.ts'],
    env: { BPBROKER_FUZZ: 'executable' },
    long: 900,
  },
  {
    name: 'datagrams',
    shows: '14',
    what: '1,000,000 fuzzed datagrams',
    files: ['test/broker/discovery/responder-fuzz.test.ts'],
    long: 900,
  },
];

async function runSuite(
  suite: Suite,
  { short, seed, say }: RowSetup,
): Promise<{ figures: string; broken: string[] }> {
  const args = ['--test', '--test-reporter=tap', `--test-timeout=${suite.long * 1000}`];
  if (suite.pattern !== undefined) args.push(`--test-name-pattern=${suite.pattern}`);
  const env = {
    ...process.env,
    ...suite.env,
    BPBROKER_LONG: short ? '0' : '1',
    BPBROKER_SEED: String(seed),
    BPBROKER_INTERFACES: 'lo',
  };
  const child = spawn(tool('node'), [...args, ...suite.files], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (bytes) => (printed += String(bytes)));
  const timer = setTimeout(() => child.kill('SIGTERM'), suite.long * 1000);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  const count = (what: string): number =>
    Number(new RegExp(`^# ${what} (\\d+)`, 'm').exec(printed)?.[1] ?? 0);
  // A long form prints its figures on lines of their own, which the reporter makes comments.
  const told = printed
    .split('\n')
    .filter((line) => /^# .*\d.*(seed|memory|datagrams|requests)/.test(line) && !line.startsWith('# Subtest'))
    .map((line) => line.slice(2));
  for (const line of told) say(line);
  const failed = printed.split('\n').filter((line) => /^\s*not ok /.test(line));
  if (code !== 0 && failed.length === 0) failed.push(`it ended with ${code}`);
  if (count('pass') === 0) failed.push('no test ran');
  return { figures: [`${count('pass')} tests passed`, ...told].join('; '), broken: failed };
}

export const suiteRows: readonly Row[] = suites.map((suite) => ({
  name: suite.name,
  shows: suite.shows,
  what: suite.what,
  bound: { short: 300, long: suite.long + 10 },
  skip: () => false,
  run: async (setup) => await runSuite(suite, setup),
}));
