/**
 * Makes every system call of what the broker does on its files fail in turn, and checks after each what is
 * stored. The tracer (sweep.c) counts calls over all threads, so a call is met whatever thread makes it.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { start, type State } from '../broker.ts';
import { compiled } from './compiled.ts';
import { executable, type Program } from '../programs.ts';
import { runProgram } from '../run-program.ts';
import { type Case, difference, type Outcome, same } from './sweep-cases.ts';
import { configIn } from './sweep-places.ts';

export const faults = ['EIO', 'EACCES', 'EMFILE', 'ENOSPC', 'short', 'kill'] as const;
export type Fault = (typeof faults)[number];

export interface Finding {
  readonly program: string;
  readonly case: string;
  readonly fault: Fault;
  readonly n: number;
  /** The call that failed, and its file. */
  readonly hit: string;
  readonly broken: readonly string[];
}

export interface SweepFigures {
  /** Runs in which a call was made to fail. */
  injected: number;
  /** How the runs ended, counted. */
  readonly ended: Map<string, number>;
  readonly findings: Finding[];
}

export interface SweepOptions {
  readonly program: Program;
  readonly of: Case;
  readonly faults: readonly Fault[];
  /** A scratch folder, used for nothing else. */
  readonly scratch: string;
  /** Every how many calls; 1: each. */
  readonly stride?: number;
  /** Only calls of this name, and up to this one. */
  readonly call?: string;
  readonly last?: number;
  /** Every call from the one on fails. */
  readonly sticky?: boolean;
  /** Of the first call; default 1. */
  readonly first?: number;
  /** Copies that run side by side; default 2. */
  readonly workers?: number;
  readonly deadline?: number;
  readonly onFinding?: (finding: Finding) => void;
}

/** Bounds a sweep whose count of calls never ends. */
const MAX_CALLS = 600;

export async function sweep(options: SweepOptions): Promise<SweepFigures> {
  const { program, of, scratch, stride = 1, first = 1, workers = 2 } = options;
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  const place = await of.prepare(program, path.join(scratch, 'place'));
  const figures: SweepFigures = { injected: 0, ended: new Map(), findings: [] };
  for (const fault of options.faults) {
    let next = first;
    let last = options.last ?? MAX_CALLS;
    const work = async (worker: number): Promise<void> => {
      while (next <= last) {
        if (options.deadline !== undefined && Date.now() > options.deadline)
          throw new Error('The sweep took too long');
        const n = next;
        next += stride;
        const dir = path.join(scratch, `${worker}`, 'run');
        rmSync(path.dirname(dir), { recursive: true, force: true });
        mkdirSync(path.dirname(dir));
        cpSync(place.dir, dir, { recursive: true, verbatimSymlinks: true });
        const report = path.join(scratch, `report-${worker}`);
        const tracer = [compiled('sweep'), '-d', dir, '-o', report, '-e', fault, '-n', `${n}`];
        if (options.call !== undefined) tracer.push('-c', options.call);
        if (options.sticky) tracer.push('-s');
        const wrap = (waiting: boolean): string[] => [...tracer, ...(waiting ? ['-w'] : []), '--'];
        const outcome = await of
          .run({ program, dir, place, env: {}, wrap })
          .catch((error: unknown): Outcome => ({
            allowed: [],
            broken: [`HARNESS: ${String(error)}`],
            ended: 'failed',
          }));
        const hit = /^hit (.*)$/m.exec(readFileSync(report, 'utf8'))?.[1]?.replace(dir, '');
        if (hit === undefined) {
          last = Math.min(last, n);
          if (outcome.broken.length === 0) return;
        } else {
          figures.injected++;
        }
        figures.ended.set(outcome.ended, (figures.ended.get(outcome.ended) ?? 0) + 1);
        const broken = [...outcome.broken, ...(await afterwards(dir, outcome))];
        if (broken.length === 0) continue;
        const finding: Finding = {
          program: program.name,
          case: of.name,
          fault,
          n,
          hit: hit ?? 'none',
          broken,
        };
        figures.findings.push(finding);
        options.onFinding?.(finding);
      }
    };
    await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)));
  }
  return figures;
}

/** A start without faults shows what was acknowledged; nothing is left over once it has stopped. */
async function afterwards(dir: string, { allowed, unknown = [] }: Outcome): Promise<string[]> {
  const broker = await start(executable.command, configIn(dir), { timeoutMs: 20_000 });
  if ('refused' in broker) return [`NO START: ${broker.refused.slice(-400)}`];
  const found = await broker.list();
  const end = await broker.stop();
  const broken: string[] = [];
  // What a backup that was cut short leaves is removed by the next one, once it is old.
  const folder = path.join(dir, 'backups');
  if (existsSync(folder)) {
    for (const name of readdirSync(folder).filter((item) => item.includes('.tmp-')))
      utimesSync(path.join(folder, name), 1, 1);
    const { code, stderr } = await runProgram(
      [...executable.command, 'backup', '--config', configIn(dir)],
      dir,
    );
    if (code !== 0) broken.push(`NO BACKUP without faults: ${stderr}`);
  }
  const known = (state: State): State =>
    Object.fromEntries(Object.entries(state).filter(([name]) => !unknown.includes(name)));
  const [expected] = allowed;
  if (expected && !allowed.some((state) => same(known(state), known(found))))
    broken.push(`LOST: ${difference(known(expected), known(found))}`);
  if (end.code !== 0) broken.push(`EXIT ${end.signal ?? end.code} at a stop without faults`);
  const left = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.tmp-|\.lock/.test(name),
  );
  if (left.length > 0) broken.push(`LEFT: ${left.join(' ')}`);
  return broken;
}
