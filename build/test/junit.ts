/** One test of a runner's JUnit report. */
export interface Case {
  readonly file: string;
  /** With the names of the suites around it: `frame() > refuses an empty one`. */
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Why it was skipped or failed, if the runner reports it. */
  readonly reason?: string;
}

const tags =
  /<(testsuite|testcase)\b((?:[^>"]|"[^"]*")*?)(\/?)>|<\/testsuite>|<(skipped|failure|error)\b((?:[^>"]|"[^"]*")*?)\/?>/g;

/** Reads the JUnit XML that the test runners of Node, Bun and Deno write. */
export function readJUnit(xml: string): Case[] {
  const cases: Case[] = [];
  const suites: string[] = [];
  for (const [tag, element, attributes = '', closed, verdict, details = ''] of xml.matchAll(tags)) {
    if (tag === '</testsuite>') suites.pop();
    else if (element === 'testsuite' && !closed) suites.push(attribute(attributes, 'name') ?? '');
    else if (element === 'testcase') cases.push(startCase(attributes, suites));
    else if (verdict) judge(cases, verdict, details);
  }
  return cases;
}

function startCase(attributes: string, suites: readonly string[]): Case {
  const file = attribute(attributes, 'file') ?? attribute(attributes, 'classname') ?? '';
  // Bun and Deno report the file itself as a suite.
  const around = suites.filter((suite) => suite !== file && !suite.startsWith('ext:'));
  return { file, name: [...around, attribute(attributes, 'name') ?? ''].join(' > '), outcome: 'passed' };
}

function judge(cases: Case[], verdict: string, details: string): void {
  const last = cases.pop();
  if (!last) return;
  const message = attribute(details, 'message');
  const reason = message === 'true' ? undefined : message;
  cases.push({
    ...last,
    outcome: verdict === 'skipped' ? 'skipped' : 'failed',
    ...(reason && { reason }),
  });
}

function attribute(text: string, name: string): string | undefined {
  const value = new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(text)?.[1];
  return value === undefined ? undefined : unescape(value);
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", '#10': '\n' };

/** Node escapes quotes twice, so `&amp;` goes first. */
function unescape(text: string): string {
  return text
    .replaceAll('&amp;', '&')
    .replaceAll(/&(lt|gt|quot|apos|#10);/g, (whole, name: string) => entities[name] ?? whole);
}
