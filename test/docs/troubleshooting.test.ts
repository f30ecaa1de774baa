import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { causes, checkIds } from '../../src/cli/doctor/report.ts';
import { exitCodes } from '../../src/cli/help/exit-codes.ts';
import { BrokerError, errorCodes } from '../../src/protocol/errors.ts';
import { blocksOf } from '../support/documents/documents.ts';

const page = readFileSync(path.join(root, 'docs', 'troubleshooting.md'), 'utf8');

/** The cells of the rows of a section's first table, without its head. */
function rowsOf(title: string): string[][] {
  const [, text] = page.split(`\n## ${title}\n`);
  const [table] = /(?:^\|.*\n)+/m.exec(text?.split('\n## ')[0] ?? '') ?? [];
  assert.ok(table !== undefined, `no table in '${title}'`);
  const lines = table.trimEnd().split('\n').slice(2);
  return lines.map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const codesIn = (cell = ''): string[] => [...cell.matchAll(/`(\w+)`/g)].map(([, code = '']) => code);

describe('docs/troubleshooting.md', () => {
  it('begins with doctor', () => {
    assert.match(blocksOf('docs/troubleshooting.md')[0]?.text ?? '', /^bpclient doctor /);
  });

  it('has an entry for every exit code and every error, under the code that a command exits with', () => {
    let exit = '';
    const said = rowsOf('By exit code').map(([first = '', code, wrong, remedy]) => {
      exit = /^\d+/.exec(first)?.[0] ?? exit;
      assert.ok(wrong && remedy, code);
      return `${exit} ${codesIn(code).join(' ')}`;
    });
    const exits = Object.keys(exitCodes).filter((code) => code !== '0');
    assert.deepEqual([...new Set(said.map((line) => line.split(' ', 1)[0]))], exits);
    const known = errorCodes.map((code) => `${new BrokerError(code, '').exitCode} ${code}`);
    assert.deepEqual(said.toSorted(), known.toSorted());
  });

  it('has every check of doctor, in the order in which they are printed', () => {
    assert.deepEqual(
      rowsOf('What is checked').flatMap(([id]) => codesIn(id)),
      checkIds,
    );
  });

  it('has every cause that doctor finds, with its exit code', () => {
    const said = rowsOf('What it finds').flatMap(([names, exit]) =>
      codesIn(names).map((name) => [name, Number(exit)] as const),
    );
    assert.deepEqual(Object.fromEntries(said), { null: 0, ...causes });
    assert.equal(said.length, Object.keys(causes).length + 1);
  });
});
