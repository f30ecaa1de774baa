import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { sentencesOf, wordsOf } from '../support/documents/prose.ts';

/** The records of decisions: `NNNN-words.md`, and an index that has a line of each. */

const folder = path.join(root, 'docs', 'decisions');
/** The most words that a record has. */
const LONGEST = 250;

interface Decision {
  readonly number: string;
  readonly title: string;
  /** What the index says of it: the first sentence of the decision. */
  readonly line: string;
}

/** Reads a record; an error says what it lacks. */
function readRecord(name: string, text: string, names: readonly string[]): Decision {
  const [, number = ''] = /^(\d{4})-[a-z0-9-]+\.md$/.exec(name) ?? [];
  assert.ok(number, `${name} is not named NNNN-words.md`);
  const [head = '', ...parts] = text.split(/^## /m);
  const form =
    /^# (\d+)\. (.+)\n\nStatus: (accepted|replaced by \[\d{4}\]\((.+\.md)\)), \d{4}-\d\d-\d\d\. \[All decisions\]\(README\.md\)\n\n$/;
  const [, own, title = '', status, replacement = ''] = form.exec(head) ?? [];
  assert.ok(status, `${name} begins with a number, a title and a status`);
  assert.equal(own?.padStart(4, '0'), number, `${name} has the number of its name`);
  assert.ok(replacement === '' || names.includes(replacement), `${name} is replaced by a record`);
  const sections = parts.map((part) => part.split('\n\n'));
  const headings = sections.map(([heading]) => heading);
  assert.deepEqual(headings, ['Context', 'Decision', 'Consequence'], name);
  for (const [heading, first = ''] of sections) assert.ok(first.trim(), `${name} has no ${heading}`);
  const length = wordsOf(text).length;
  assert.ok(length <= LONGEST, `${name} has ${length} words; the most are ${LONGEST}`);
  const [line = ''] = sentencesOf((sections[1]?.[1] ?? '').replaceAll('\n', ' '));
  return { number, title, line };
}

const names = readdirSync(folder).filter((name) => name !== 'README.md');
const textOf = (name: string): string => readFileSync(path.join(folder, name), 'utf8');

describe('docs/decisions', () => {
  it('has records whose numbers leave no gap', () => {
    const numbers = names.map((name) => Number(name.slice(0, 4)));
    assert.ok(numbers.length > 150);
    assert.deepEqual(
      numbers.toSorted((a, b) => a - b),
      numbers.map((_, n) => n + 1),
    );
  });

  it('has records with a context, a decision and a consequence', () => {
    for (const name of names) readRecord(name, textOf(name), names);
  });

  it('has an index with the number, the title and the first sentence of each decision, in order', () => {
    const rows = textOf('README.md')
      .split('\n')
      .filter((line) => line.startsWith('- '));
    const expected = names.toSorted().map((name) => {
      const { number, title, line } = readRecord(name, textOf(name), names);
      return `- [${number}](${name}) **${title}.** ${line}`;
    });
    assert.deepEqual(rows, expected);
  });
});

describe('a record of a decision', () => {
  const good = `# 7. A title

Status: accepted, 2026-01-31. [All decisions](README.md)

## Context

Something was open.

## Decision

It is closed. It stays so.

## Consequence

Nothing is open.
`;

  it('is read', () => {
    const read = { number: '0007', title: 'A title', line: 'It is closed.' };
    assert.deepEqual(readRecord('0007-title.md', good, []), read);
    const replaced = good.replace('accepted', 'replaced by [0008](0008-b.md)');
    assert.deepEqual(readRecord('0007-title.md', replaced, ['0008-b.md']), read);
  });

  const wrong: Readonly<Record<string, readonly [name: string, text: string]>> = {
    'another number': ['0008-title.md', good],
    'a name without words': ['0007.md', good],
    'no status': ['0007-title.md', good.replace(/Status.*\n\n/, '')],
    'no date': ['0007-title.md', good.replace(', 2026-01-31', '')],
    'a replacement that does not exist': [
      '0007-title.md',
      good.replace('accepted', 'replaced by [0008](0008-b.md)'),
    ],
    'a part that is missing': ['0007-title.md', good.replace(/## Consequence[^]*/, '')],
    'a part that is empty': ['0007-title.md', good.replace('Nothing is open.\n', '')],
    'parts in another order': [
      '0007-title.md',
      good.replace('Context', 'X').replace('Decision', 'Context').replace('X', 'Decision'),
    ],
    'too many words': ['0007-title.md', good.replace('open.', `${'open '.repeat(LONGEST)}.`)],
  };
  for (const [what, [name, text]] of Object.entries(wrong))
    it(`with ${what} is refused`, () => {
      assert.throws(() => readRecord(name, text, []), assert.AssertionError);
    });
});
