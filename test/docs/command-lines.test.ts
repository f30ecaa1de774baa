import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { markdown } from '../../build/docs/markdown.ts';
import { root } from '../../build/root.ts';
import { brokerRoot } from '../../src/cli/programs/broker-root.ts';
import { clientRoot } from '../../src/cli/programs/client-root.ts';
import { parseCommandLine } from '../../src/cli/options/parse.ts';
import { wholeProgram } from '../../src/cli/programs/whole-program.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import { blocksOf, exchangesOf } from '../support/documents/documents.ts';
import { allPages } from '../support/documents/prose.ts';
import { commandsOf } from '../support/documents/shell-words.ts';
import { commandLanguages } from '../support/documents/typed-page.ts';

/**
 * Every `bpbroker …` and `bpclient …` of a page or an example is a right command line, on Windows too. The
 * programs' own parser reads it, against their own commands and options.
 */

const programs = {
  bpbroker: wholeProgram('bpbroker', brokerRoot),
  bpclient: wholeProgram('bpclient', clientRoot),
};

/** Commands that end in a command of their own. */
const runners = new Set(['docker', 'npx']);
/** Texts that look like a command, and are none. */
const labels = new Set(['bpbroker discovery 2 query', 'bpbroker discovery 2 reply']);

/** The arguments of each call of a program of ours, those within another one included. */
function callsIn(words: readonly string[]): { program: keyof typeof programs; args: readonly string[] }[] {
  const at = runners.has(words[0] ?? '') ? words.findLastIndex((word) => Object.hasOwn(programs, word)) : 0;
  const [, program] = /^(?:\.\/)?(bpbroker|bpclient)$/.exec(words[at] ?? '') ?? [];
  if (program !== 'bpbroker' && program !== 'bpclient') return [];
  const args = words.slice(at + 1);
  const end = args.indexOf('--');
  return [{ program, args }, ...(end === -1 ? [] : callsIn(args.slice(end + 1)))];
}

interface Checked {
  readonly calls: number;
  readonly faults: readonly string[];
}

/** @param isMention whether the text may name a command without what the command needs. */
function check(where: string, text: string, isMention = false): Checked {
  const calls = commandsOf(text).flatMap(callsIn);
  const faults = calls.flatMap(({ program, args }) => {
    try {
      parseCommandLine(args, programs[program], {});
      return [];
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      // What a variable or an abbreviation holds is not known here.
      if (/^Invalid .*[$…]/.test(error.message)) return [];
      if (isMention && / needs --/.test(error.message)) return [];
      return [`${where}: ${program} ${args.join(' ')}: ${error.message}`];
    }
  });
  return { calls: calls.length, faults };
}

function commandsOfPage(page: string): Checked[] {
  const typed = blocksOf(page)
    .filter(({ language }) => commandLanguages.has(language))
    .flatMap(({ language, text, line }) => {
      const commands = language === 'console' ? exchangesOf(text).map(({ command }) => command) : [text];
      return commands.map((command) => check(`${page}:${line}`, command));
    });
  const mentioned = markdown
    .parse(readFileSync(path.join(root, page), 'utf8'), {})
    .flatMap(({ children }) => children ?? [])
    .filter(({ type, content }) => type === 'code_inline' && /^(?:bpbroker|bpclient) /.test(content))
    .filter(({ content }) => !labels.has(content))
    .map(({ content }) => check(page, content, true));
  return [...typed, ...mentioned];
}

const scripts = readdirSync(path.join(root, 'examples'), { recursive: true, encoding: 'utf8' })
  .map((name) => path.posix.join('examples', name.replaceAll(path.sep, '/')))
  .filter((name) => /\.(?:sh|ps1)$/.test(name) && !name.includes('node_modules'));

describe('command lines of bpbroker and bpclient', () => {
  it('in the pages are ones that the programs take', () => {
    const checked = allPages().flatMap(commandsOfPage);
    assert.deepEqual(
      checked.flatMap(({ faults }) => faults),
      [],
    );
    const calls = checked.reduce((sum, { calls: count }) => sum + count, 0);
    assert.ok(calls > 250, `only ${calls} command lines were found`);
  });

  for (const script of scripts)
    it(`in ${script} are ones that the programs take`, () => {
      assert.deepEqual(check(script, readFileSync(path.join(root, script), 'utf8')).faults, []);
    });

  const right: readonly string[] = [
    '$env:BPBROKER = bpclient discover --name shop --wait --timeout 10m',
    '@{ db = 1 } | ConvertTo-Json |\n  bpbroker --bpbroker 127.0.0.1 service register --name shop --data-file -',
    'docker run --detach --name bpbroker --init debian:12-slim bpbroker start',
    'bpclient lock --name a --ttl "$TTL" -- bpclient service get --name b',
  ];
  for (const text of right) it(`accepts ${text}`, () => assert.deepEqual(check('here', text).faults, []));

  const wrong: Readonly<Record<string, RegExp>> = {
    'bpclient sevice get --name a': /Unknown command 'sevice'/,
    'if (1) { bpbroker install-service --firewal }': /Unknown option '--firewal'/,
    'x=$(bpclient service get --name a --wiat)': /Unknown option '--wiat'/,
    'echo "$(bpclient discover --count)"': /takes no option --count/,
    'bpclient service get': /needs --name/,
    'bpclient ping --timeout soon': /Invalid/,
    'sudo ./bpbroker backup --from x': /takes no option --from/,
    'docker run --detach debian:12-slim bpbroker strat': /Unknown command 'strat'/,
    'bpclient lock --name a -- bpclient service gte --name b': /'gte'/,
  };
  for (const [text, message] of Object.entries(wrong))
    it(`refuses ${text}`, () => {
      const { faults } = check('here', text);
      assert.equal(faults.length, 1, text);
      assert.match(faults[0] ?? '', message);
    });
});
