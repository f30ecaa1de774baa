import type { Case } from './junit.ts';

const MESSAGE_LINES = 8;
const MESSAGE_WIDTH = 300;

/** The result of one pass. */
export interface Result {
  readonly pass: string;
  readonly passed: number;
  readonly failed: number;
  readonly skips: readonly Case[];
  readonly failures: readonly Case[];
  readonly ms: number;
}

/** Counts a pass. A runner that fails without a failed test (a file that does not load) counts as one failure. */
export function tally(pass: string, cases: readonly Case[], code: number): Result {
  const failures = cases.filter(({ outcome }) => outcome === 'failed');
  return {
    pass,
    passed: cases.filter(({ outcome }) => outcome === 'passed').length,
    failed: Math.max(failures.length, code === 0 ? 0 : 1),
    skips: cases.filter(({ outcome }) => outcome === 'skipped'),
    failures,
    ms: 0,
  };
}

/** The report for people; its last line has the counts of all passes. */
export function summarize(results: readonly Result[], noSkip: boolean): string {
  const width = Math.max(...results.map(({ pass }) => pass.length));
  const lines = results.map(
    (result) => `${result.pass.padEnd(width)}  ${counts([result])}  ${seconds(result)}`,
  );
  const failures = results.flatMap(({ pass, failures: cases }) =>
    cases.flatMap((item) => [`  ${pass}: ${where(item)}`, ...indented(item.reason ?? '')]),
  );
  const skips = results.flatMap(({ pass, skips: cases }) =>
    cases.map((item) => `  ${pass}: ${where(item)}: ${reasonOf(item, results)}`),
  );
  const forbidden =
    noSkip && skips.length > 0 ? ['BPBROKER_NO_SKIP=1: the skipped tests fail this run.'] : [];
  return [
    '== summary',
    ...lines,
    ...section('Failed:', failures),
    ...section('Skipped:', skips),
    ...forbidden,
    counts(results),
  ].join('\n');
}

export function exitCode(results: readonly Result[], noSkip: boolean): 0 | 1 {
  const bad = results.some(({ failed, skips }) => failed > 0 || (noSkip && skips.length > 0));
  return bad ? 1 : 0;
}

function counts(results: readonly Result[]): string {
  const sum = (of: (result: Result) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  return `${sum((r) => r.passed)} passed, ${sum((r) => r.failed)} failed, ${sum((r) => r.skips.length)} skipped`;
}

function seconds({ ms }: Result): string {
  return `(${(ms / 1000).toFixed(1)} s)`;
}

function where({ file, name }: Case): string {
  const short = /(?:^|\/)(test\/.*)$/.exec(file)?.[1];
  return short ? `${short}: ${name}` : name;
}

/** The beginning of a failure's message, under its test. */
function indented(message: string): string[] {
  const lines = message.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(0, MESSAGE_LINES).map((line) => `      ${line.slice(0, MESSAGE_WIDTH)}`);
}

/** Bun and Deno report no reasons. The same test, skipped by Node, has one. */
function reasonOf(skip: Case, results: readonly Result[]): string {
  const told = results.flatMap(({ skips }) => skips).find(({ name, reason }) => name === skip.name && reason);
  return skip.reason ?? told?.reason ?? 'no reason reported';
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length > 0 ? [title, ...lines] : [];
}
