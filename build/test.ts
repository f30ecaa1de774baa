import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ensureExecutables } from './executable.ts';
import { type Case, readJUnit } from './test/junit.ts';
import { type Left, leftBehind, RUN_VARIABLE } from './test/left-behind.ts';
import { ensurePackage } from './npm.ts';
import { filesOf, type Pass, passes } from './test/passes.ts';
import { logTo, passThrough } from './process.ts';
import { root } from './root.ts';
import { exitCode, type Result, summarize, tally } from './test/summary.ts';

/**
 * Runs the test suites on every runtime: `node build/test.ts [PASS…] [FILE or FOLDER…]`. Passes are named as in
 * `passes.ts`; without any, all run. `BPBROKER_NO_SKIP=1` makes a skipped test fail the run.
 */
async function main(args: readonly string[]): Promise<number> {
  const named = passes.filter(({ name }) => args.includes(name));
  const only = args.filter((arg) => !named.some(({ name }) => name === arg));
  const chosen = named.length > 0 ? named : passes;
  const results: Result[] = [];
  if (chosen.some(({ name }) => name === 'node24')) results.push(await build());
  if (results.every(({ failed }) => failed === 0)) {
    for (const group of grouped(chosen)) {
      results.push(...(await Promise.all(group.map((pass) => run(pass, only, group.length > 1)))));
    }
  }
  const noSkip = process.env['BPBROKER_NO_SKIP'] === '1';
  process.stdout.write(`\n${summarize(results, noSkip)}\n`);
  return exitCode(results, noSkip);
}

/** The passes, in groups that run one after another. Three files run at a time: those of one pass, or one of each of three passes. */
function grouped(chosen: readonly Pass[]): Pass[][] {
  const alone = chosen.filter(({ name }) => name === 'node24');
  const sideBySide = chosen.filter(({ name }) => name !== 'node24');
  return [alone, sideBySide].filter((group) => group.length > 0);
}

/** The tests of the programs run those in `dist`. */
async function build(): Promise<Result> {
  header('build');
  const started = performance.now();
  try {
    say(`dist/npm ${(await ensurePackage()) ? 'built' : 'is up to date'}`);
    say(`executables ${(await ensureExecutables()) ? 'built' : 'are up to date'}`);
    return { ...tally('build', [], 0), ms: performance.now() - started };
  } catch (error) {
    say(String(error));
    return { ...tally('build', [], 1), ms: performance.now() - started };
  }
}

/** @param isBeside whether others run at the same time: then its output is shown as a whole at the end. */
async function run(pass: Pass, only: readonly string[], isBeside: boolean): Promise<Result> {
  if (!isBeside) header(pass.name);
  const started = performance.now();
  const elapsed = (result: Result): Result => ({ ...result, ms: performance.now() - started });
  try {
    const files = filesOf(pass, only);
    if (files.length === 0) {
      say(`${pass.name}: none of the given files belongs to this pass`);
      return elapsed(tally(pass.name, [], 0));
    }
    const hindrance = await pass.prepare?.();
    if (hindrance) {
      say(`${pass.name}: skipped: ${hindrance}`);
      return elapsed(
        tally(pass.name, [{ file: '', name: 'the whole pass', outcome: 'skipped', reason: hindrance }], 0),
      );
    }
    return elapsed(await runFiles(pass, files, isBeside));
  } catch (error) {
    say(`${pass.name}: ${String(error)}`);
    return elapsed(tally(pass.name, [], 1));
  }
}

async function runFiles(pass: Pass, files: readonly string[], isBeside: boolean): Promise<Result> {
  const results = path.join(root, 'dist', 'test-results');
  const report = path.join(results, `${pass.name}.xml`);
  const log = path.join(results, `${pass.name}.log`);
  mkdirSync(path.dirname(report), { recursive: true });
  rmSync(report, { force: true });
  const mark = randomUUID();
  const env = {
    ...process.env,
    ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }),
    DENO_NO_UPDATE_CHECK: '1',
    // Each file of tests is a process of its own, and compiles the same sources.
    NODE_COMPILE_CACHE: path.join(root, 'node_modules', '.cache', 'node'),
    [RUN_VARIABLE]: mark,
    // A discovery that a test forgot to confine must not reach the real network.
    BPBROKER_INTERFACES: process.env['BPBROKER_INTERFACES'] ?? 'lo',
  };
  const command = pass.command(files, report);
  const code = isBeside
    ? await logTo(log, command, { cwd: root, env })
    : await passThrough(command, { cwd: root, env });
  if (isBeside) {
    header(pass.name);
    process.stdout.write(readFileSync(log));
  }
  const cases = existsSync(report) ? readJUnit(readFileSync(report, 'utf8')) : [];
  if (cases.length === 0 && code === 0) {
    say(`${pass.name}: no test ran`);
    return tally(pass.name, [], 1);
  }
  return tally(pass.name, [...cases, ...(await endLeft(mark))], code);
}

/** A failure for what the tests left running, which is ended. */
async function endLeft(mark: string): Promise<Case[]> {
  const left = await leftBehind(mark);
  left.forEach(kill);
  const reason = left.map(({ pid, command }) => `${pid} ${command}`).join('\n');
  return reason === '' ? [] : [{ file: '', name: 'no process is left running', outcome: 'failed', reason }];
}

function kill({ pid }: Left): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It has just ended.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function header(title: string): void {
  say(`\n== ${title} ${'='.repeat(Math.max(0, 70 - title.length))}`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main(process.argv.slice(2));
