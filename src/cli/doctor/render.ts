import { stripVTControlCharacters } from 'node:util';
import type { Json } from '../../protocol/formats/data.ts';
import { spacedJson } from '../../protocol/registry/entry.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Check, CheckId, Report, Status } from './report.ts';

export interface RenderOptions {
  readonly colour: boolean;
  /** Columns of the terminal; `undefined` when it is not one: then each check is one line, however long. */
  readonly width: number | undefined;
  /** Leaves out checks that succeeded or were not made; prints only faults. */
  readonly quiet: boolean;
  /** Prints the findings below each check. */
  readonly verbose: boolean;
}

const labels: Readonly<Record<CheckId, string>> = {
  program: 'program',
  interfaces: 'interfaces',
  container: 'container',
  firewall: 'firewall',
  proxy: 'proxy',
  discovery_key: 'discovery key',
  discovery: 'discovery',
  tcp: 'connection',
  brokers: 'brokers',
  identity: 'identity',
  access_key: 'access key',
  name: 'name',
  health: 'health',
  clock: 'clock',
  host_config: 'own broker',
  host_running: 'own process',
  host_disk: 'own disk',
};

const colours: Readonly<Record<Status, number>> = { ok: 32, warn: 33, fail: 31, skip: 90 };
const LABEL_WIDTH = 13;
const FACT_INDENT = 4 + 2;
const INDENT = FACT_INDENT + LABEL_WIDTH + 2;
/** Narrower terminals get lines of this width, and fold them themselves. */
const LEAST_WIDTH = 40;

/** The checklist, the fault, and the remedy. */
export function renderReport(report: Report, look: RenderOptions): string[] {
  const { checks } = report;
  const shown = look.quiet ? checks.filter(({ status }) => status === 'warn' || status === 'fail') : checks;
  return [
    ...shown.flatMap((check) => showCheck(check, look)),
    ...(shown.length > 0 ? [''] : []),
    ...ending(report, look),
  ];
}

function showCheck({ id, status, says, facts = {} }: Check, look: RenderOptions): string[] {
  const word = paint(status.padEnd(4), colours[status], look);
  const [first = '', ...rest] = fold(messageOf(says), look.width, INDENT);
  const found = look.verbose ? Object.entries(facts).flatMap(([name, value]) => tellFact(name, value)) : [];
  return [
    `${word}  ${labels[id].padEnd(LABEL_WIDTH)}  ${first}`,
    ...rest.map((line) => ' '.repeat(INDENT) + line),
    ...found.map((line) => ' '.repeat(FACT_INDENT) + messageOf(line)),
  ];
}

/** A line for a fact, or one for each member of a list, as JSON, so that nothing of it is lost. */
function tellFact(name: string, value: Json): string[] {
  if (!Array.isArray(value)) return [`${name}: ${spacedJson(value)}`];
  return (value as readonly Json[]).map((one) => `${name}: ${spacedJson(one)}`);
}

function ending({ checks, problem, advice, broker }: Report, look: RenderOptions): string[] {
  const tell = (head: string, text: string): string[] => {
    const [first = '', ...rest] = fold(`${head} ${messageOf(text)}`, look.width, 0);
    return [first.replace(head, paint(head, 1, look)), ...rest];
  };
  const warned = checks.filter(({ status }) => status === 'warn').length;
  const note = warned === 0 ? '' : ` Look at what is marked warn (${warned}).`;
  const at = broker === undefined ? '' : ` on the way to the broker at ${broker}`;
  const untried = checks.flatMap((check) => check.untried ?? []);
  const found = untried.length > 0 ? `No fault was found${at}.` : `There is no fault${at}.`;
  const head = problem
    ? tell('What is wrong:', problem.message)
    : [
        ...fold(`${found}${note}`, look.width, 0),
        ...untried.flatMap((what) => tell('What is not known:', what)),
      ];
  if (!advice) return head;
  const where = advice.where === 'broker' ? "Do this, on the broker's host:" : 'Do this:';
  return [
    ...head,
    ...tell(where, advice.advice),
    // Never folded: the user copies it.
    ...(advice.command === undefined ? [] : [`  ${messageOf(advice.command)}`]),
  ];
}

function paint(text: string, code: number, { colour }: RenderOptions): string {
  return colour ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** Lines of at most `width` less `indent` columns, broken at spaces. A longer word has a line of its own. */
function fold(text: string, width: number | undefined, indent: number): string[] {
  if (width === undefined) return [text];
  const room = Math.max(LEAST_WIDTH, width) - indent;
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && stripVTControlCharacters(`${line} ${word}`).length > room) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
