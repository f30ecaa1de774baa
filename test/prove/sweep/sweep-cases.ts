/** What a sweep does: each case is one way that the broker works on its files, with a rule for what may come of it. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Broker, start, started, type State } from '../broker.ts';
import { executable, type Program } from '../programs.ts';
import { type Ended, runProgram } from '../run-program.ts';
import {
  afterCrash,
  afterStop,
  afterTornWrite,
  configIn,
  newFolder,
  type Place,
  put,
  withBackup,
} from './sweep-places.ts';

/** One run under a fault: where, and how to put the tracer around the program. */
export interface Run {
  readonly program: Program;
  /** A copy of the place's folder. */
  readonly dir: string;
  readonly place: Place;
  readonly env: Readonly<Record<string, string>>;
  /** Around the program; with `waiting` it counts nothing before `arm`. */
  readonly wrap: (waiting: boolean) => readonly string[];
}

/** What came of a run. */
export interface Outcome {
  /** What the registry may hold afterwards. */
  readonly allowed: readonly State[];
  /** Names whose write was answered with an error: old or new. */
  readonly unknown?: readonly string[];
  /** Rules that were broken already. */
  readonly broken: readonly string[];
  /** What the program did, in a word: counted in the figures. */
  readonly ended: string;
}

export interface Case {
  readonly name: string;
  readonly prepare: (program: Program, dir: string) => Promise<Place>;
  readonly run: (run: Run) => Promise<Outcome>;
}

export function same(a: State, b: State): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

/** Without revisions, which a restore sets anew. */
const dataOf = (state: State): State =>
  Object.fromEntries(Object.entries(state).map(([key, text]) => [key, text.replace(/^\[\d+,/, '[')]));

/** How two states differ, in a few words. */
export function difference(expected: State, found: State): string {
  const names = [...new Set([...Object.keys(expected), ...Object.keys(found)])];
  const differing = names.filter((name) => expected[name] !== found[name]);
  const shown = differing.slice(0, 4).map((name) => `${name}: ${expected[name]} became ${found[name]}`);
  return `${differing.length} of ${names.length} differ (${shown.join('; ').slice(0, 200)})`;
}

const arm = (broker: Broker): unknown => broker.child.kill('SIGUSR1');

/** A list of the broker under the fault, which must be right if there is one. */
async function lookUnderFault(broker: Broker, expected: State, broken: string[]): Promise<void> {
  const seen = await broker.list().catch(() => undefined);
  if (seen && !same(seen, expected)) broken.push(`WRONG ANSWER: ${difference(expected, seen)}`);
}

/** One write under the fault; returns the states that may exist afterwards. */
async function writeUnderFault(broker: Broker, state: State): Promise<{ state: State; unknown: string[] }> {
  const { status, body } = await broker.put('probe', { p: 1 });
  if (status !== 200) return { state, unknown: ['probe'] };
  return { state: { ...state, probe: JSON.stringify([body.revision, body.data]) }, unknown: [] };
}

/** The end of a broker that ran under a fault. */
async function stopUnderFault(broker: Broker, broken: string[]): Promise<string> {
  const early = broker.isOver();
  const { code, signal, hung } = await broker.stop();
  if (hung) broken.push('HANG: it had not ended 15 s after SIGTERM');
  if (early) return `ended early with ${signal ?? code}`;
  return `stopped with ${signal ?? code}`;
}

async function startUnderFault({ program, dir, place, env, wrap }: Run): Promise<Outcome> {
  const broken: string[] = [];
  const broker = await start(program.command, configIn(dir), { env, wrap: wrap(false), timeoutMs: 20_000 });
  if ('refused' in broker) {
    const { code, signal, hung } = broker.ending;
    if (hung) broken.push('HANG: neither ready nor ended within 20 s');
    else if (code === 0) broken.push('EXIT 0: it refused to start');
    else if (code !== 137 && code !== 1 && !isForbidden(code, broker.refused))
      broken.push(`CRASH: ${signal ?? code}: ${broker.refused.slice(-300)}`);
    return { allowed: [place.state], broken, ended: code === 137 ? 'killed' : 'refused' };
  }
  await lookUnderFault(broker, place.state, broken);
  const { state, unknown } = await writeUnderFault(broker, place.state);
  const end = await stopUnderFault(broker, broken);
  return { allowed: [state], unknown, broken, ended: `ready, ${end}` };
}

/** A file of an option that this user may not read is exit 2. */
function isForbidden(code: number | null, stderr: string): boolean {
  return code === 2 && /^Fatal error: Cannot read --config .*\[EACCES\]$/m.test(stderr);
}

async function runToEnd(run: Run, args: readonly string[]): Promise<Ended> {
  return await runProgram([...run.wrap(false), ...run.program.command, ...args], run.dir, run.env);
}

function checkEnd(code: number | null, stderr: string, broken: string[]): void {
  if (code === null) broken.push('HANG: it had not ended after 20 s');
  else if (code !== 0 && code !== 1 && code !== 137 && !isForbidden(code, stderr))
    broken.push(`CRASH: code ${code}: ${stderr.slice(-300)}`);
}

/** Every backup that exists under its name restores to just that state. */
async function checkBackups(folder: string, expected: State, broken: string[]): Promise<number> {
  if (!existsSync(folder)) return 0;
  const names = readdirSync(folder).filter((name) => /^bpbroker-\d.*\.json$/.test(name));
  for (const name of names) {
    const dir = newFolder(path.join(folder, '..', '..', `check-${path.basename(path.join(folder, '..'))}`));
    const from = path.join(folder, name);
    const words = [...executable.command, 'restore', '--from', from, '--config', configIn(dir)];
    const { code } = await runProgram(words, dir);
    const broker = code === 0 ? await start(executable.command, configIn(dir)) : undefined;
    if (broker === undefined || 'refused' in broker) {
      broken.push(`BAD BACKUP: ${name} cannot be restored`);
      continue;
    }
    const found = await broker.list();
    await broker.kill();
    if (!same(dataOf(found), dataOf(expected)))
      broken.push(`BAD BACKUP: ${name}: ${difference(dataOf(expected), dataOf(found))}`);
  }
  return names.length;
}

async function backUp(run: Run): Promise<Outcome> {
  const broken: string[] = [];
  const { code, stdout, stderr } = await runToEnd(run, ['backup', '--config', configIn(run.dir)]);
  checkEnd(code, stderr, broken);
  if (code === 0 && !existsSync(stdout.trim())) broken.push(`EXIT 0: no backup at '${stdout.trim()}'`);
  await checkBackups(path.join(run.dir, 'backups'), run.place.state, broken);
  return { allowed: [run.place.state], broken, ended: `code ${code}` };
}

async function restore(run: Run): Promise<Outcome> {
  const { place } = run;
  const broken: string[] = [];
  const from = place.backup?.file ?? '';
  const { code, stderr } = await runToEnd(run, ['restore', '--config', configIn(run.dir), '--from', from]);
  checkEnd(code, stderr, broken);
  const old = place.backup?.state ?? {};
  // A restored entry has the revision of the restore.
  const revision = Math.max(...Object.values(place.state).map((text) => (JSON.parse(text) as [number])[0]));
  const restored = (at: number): State =>
    Object.fromEntries(
      Object.entries(old).map(([name, text]) => [
        name,
        JSON.stringify([at, (JSON.parse(text) as [number, object])[1]]),
      ]),
    );
  // The deletion took one revision more than any entry shows.
  const done = [restored(revision + 2), restored(revision + 1), old];
  return { allowed: code === 0 ? done : [place.state, ...done], broken, ended: `code ${code}` };
}

async function scheduledBackup(run: Run): Promise<Outcome> {
  const broken: string[] = [];
  const broker = await started(run.program.command, configIn(run.dir), {
    env: run.env,
    wrap: run.wrap(true),
  });
  arm(broker);
  const folder = path.join(run.dir, 'backups');
  const made = (): boolean =>
    existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.json'));
  const over = (): boolean => made() || broker.isOver() || /backup/.test(broker.printed());
  await until(over, 4000);
  await lookUnderFault(broker, run.place.state, broken);
  const before = run.place.state;
  const { state, unknown } = await writeUnderFault(broker, before);
  const end = await stopUnderFault(broker, broken);
  await checkBackups(folder, before, broken);
  return { allowed: [state], unknown, broken, ended: end };
}

/** Nine writes of a megabyte to three names: the journal outgrows the file, and the file is rewritten while writes go on. */
async function rewriteUnderFault(run: Run): Promise<Outcome> {
  const broken: string[] = [];
  const broker = await started(run.program.command, configIn(run.dir), {
    env: run.env,
    wrap: run.wrap(true),
  });
  let state: State = run.place.state;
  const unknown: string[] = [];
  const data = { pad: 'x'.repeat(900_000) };
  const write = async (name: string, value: object): Promise<void> => {
    const { status, body } = await broker.put(name, value);
    if (status === 200) state = { ...state, [name]: JSON.stringify([body.revision, body.data]) };
    else unknown.push(name);
  };
  for (let i = 0; i < 9; i++) await write(`big-${i % 3}`, { ...data, i });
  arm(broker);
  const file = configIn(run.dir);
  const { ino } = statSync(file);
  for (let i = 9; i < 11; i++) await write(`last-${i}`, { ...data, i });
  const rewritten = (): boolean => statSync(file).ino !== ino;
  await until(() => rewritten() || broker.isOver() || /warn|error/.test(broker.printed()), 3000);
  if (unknown.length === 0) await lookUnderFault(broker, state, broken);
  await write('probe', { p: 1 });
  const end = await stopUnderFault(broker, broken);
  return { allowed: [state], unknown, broken, ended: end };
}

/** Writes one after another: each is answered, and stored as it was answered. */
const writing =
  (writes: number) =>
  async (run: Run): Promise<Outcome> => {
    const broken: string[] = [];
    const broker = await started(run.program.command, configIn(run.dir), {
      env: run.env,
      wrap: run.wrap(true),
    });
    arm(broker);
    let state: State = run.place.state;
    const unknown: string[] = [];
    for (let i = 0; i < writes && !broker.isOver(); i++) {
      const name = `n${i}`;
      const { status, body } = await broker.put(name, { i, pad: 'x'.repeat(i % 40) });
      if (status === 200) state = { ...state, [name]: JSON.stringify([body.revision, body.data]) };
      else if (body.code !== 'storage_full') unknown.push(name);
      if (![0, 200, 503, 507].includes(status)) broken.push(`ANSWER ${status} ${body.code ?? body.message}`);
    }
    const seen = await broker.list().catch(() => undefined);
    // A broker that the fault killed a moment ago ends now; one that lives answers reads.
    const gone = seen === undefined && (await Promise.race([broker.ended, sleep(2000)])) !== undefined;
    if (seen === undefined && !gone) broken.push('NO READS after the fault');
    for (const [name, text] of Object.entries(state))
      if (seen && seen[name] !== text) broken.push(`WRONG ANSWER: ${name}: ${text} became ${seen[name]}`);
    const end = await stopUnderFault(broker, broken);
    return { allowed: [state], unknown, broken, ended: `${unknown.length > 0 ? 'refusing, ' : ''}${end}` };
  };

/** With a sync for each write, and more writes than calls that fail. */
export const manyWrites: Case = { name: 'many-writes', prepare: afterStop, run: writing(105) };

async function stop(run: Run): Promise<Outcome> {
  const broken: string[] = [];
  const broker = await started(run.program.command, configIn(run.dir), {
    env: run.env,
    wrap: run.wrap(true),
  });
  await put(broker, 'probe', { p: 1 });
  const state = await broker.list();
  arm(broker);
  const end = await stopUnderFault(broker, broken);
  return { allowed: [state], broken, ended: end };
}

async function until(condition: () => boolean, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition() && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 10));
}

export const cases: readonly Case[] = [
  { name: 'start-crash', prepare: afterCrash, run: startUnderFault },
  { name: 'start-torn', prepare: afterTornWrite, run: startUnderFault },
  { name: 'start-clean', prepare: afterStop, run: startUnderFault },
  { name: 'write', prepare: afterStop, run: writing(12) },
  { name: 'stop', prepare: afterCrash, run: stop },
  { name: 'backup', prepare: afterCrash, run: backUp },
  { name: 'restore', prepare: withBackup, run: restore },
  {
    name: 'backup-scheduled',
    prepare: async (program, dir) => {
      const place = await afterCrash(program, dir);
      // The copy's own configuration: a backup is due a second after its start.
      const file = configIn(dir);
      writeFileSync(
        file,
        readFileSync(file, 'utf8').replace(/"backup_freq_secs": *0/, '"backup_freq_secs": 3600'),
      );
      return place;
    },
    run: scheduledBackup,
  },
  { name: 'rewrite', prepare: afterStop, run: rewriteUnderFault },
];
