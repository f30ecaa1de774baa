/** Every system call made to fail in turn. */
import path from 'node:path';
import { noCompiler } from '../sweep/compiled.ts';
import { executable, node24 } from '../programs.ts';
import type { Row, RowResult, RowSetup } from '../row.ts';
import { cases, manyWrites } from '../sweep/sweep-cases.ts';
import { faults, type Finding, sweep, type SweepFigures, type SweepOptions } from '../sweep/sweep.ts';

const textOf = ({ program, case: name, fault, n, hit, broken }: Finding): string =>
  `${program} ${name}, ${fault} at call ${n} (${hit}): ${broken.join('; ')}`;

async function runAll(setup: RowSetup, plans: readonly Omit<SweepOptions, 'scratch'>[]): Promise<RowResult> {
  const broken: string[] = [];
  const told = new Map<string, { injected: number; findings: number }>();
  for (const plan of plans) {
    const done: SweepFigures = await sweep({ ...plan, scratch: path.join(setup.scratch, 'sweep') });
    const name = `${plan.of.name} on ${plan.program.name}`;
    const before = told.get(name) ?? { injected: 0, findings: 0 };
    told.set(name, {
      injected: before.injected + done.injected,
      findings: before.findings + done.findings.length,
    });
    broken.push(...done.findings.map(textOf));
    setup.say(`${name}: ${done.injected} calls made to fail, ${done.findings.length} findings`);
  }
  const all = [...told].map(([name, { injected }]) => `${name} ${injected}`).join(', ');
  const total = [...told.values()].reduce((sum, { injected }) => sum + injected, 0);
  return { figures: `${total} calls made to fail (${all}), ${broken.length} broke the rule`, broken };
}

export const sweepRow: Row = {
  name: 'sweep',
  shows: '18, 5, 8',
  what:
    'each system call on the files in turn failing with EIO, EACCES, EMFILE, ENOSPC, a short write, or SIGKILL at it ' +
    '(seccomp, counted over all threads). It covers starts, writes, a rewriting, backups, a restore, a stop',
  bound: { short: 450, long: 3600 },
  skip: () => noCompiler(),
  async run(setup) {
    if (!setup.short) {
      const plans = [executable, node24].flatMap((program) => cases.map((of) => ({ program, of, faults })));
      return await runAll(setup, plans);
    }
    // The reads of a start and of a backup wholly; of all the rest a sample, another with each seed.
    const whole = cases.filter(({ name }) => name === 'start-crash' || name === 'backup');
    const stride = 20;
    const first = 1 + (setup.seed % stride);
    return await runAll(setup, [
      ...whole.map((of) => ({ program: executable, of, faults: ['EIO'] as const })),
      ...cases.map((of) => ({ program: executable, of, faults, stride, first })),
    ]);
  },
};

export const syncErrors: Row = {
  name: 'sync',
  shows: '3, 4',
  what: '`fdatasync` and `fsync` failing with EIO at call 1 to 100, once or for ever, under writes; then a start without faults',
  bound: { short: 60, long: 600 },
  skip: () => noCompiler(),
  async run(setup) {
    const last = setup.short ? 8 : 100;
    const plans = ['fdatasync', 'fsync'].flatMap((call) =>
      [false, true].map((sticky) => ({
        program: executable,
        of: manyWrites,
        faults: ['EIO'] as const,
        call,
        sticky,
        last,
      })),
    );
    return await runAll(setup, plans);
  },
};
