import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { root } from '../../build/root.ts';

it('every row of docs/security.md names tests that are there and say its name', () => {
  const page = readFileSync(path.join(root, 'docs', 'security.md'), 'utf8');
  const table = page.slice(page.indexOf('## Rules and their tests'));
  const rows = [...table.matchAll(/^\| `([^`]+)` +\|.*\|([^|]*)\|$/gm)];
  assert.ok(rows.length >= 20, `${rows.length} rows`);
  for (const [, row = '', files = ''] of rows) {
    const named = [...files.matchAll(/`(test\/[^`]+)`/g)].map(([, file = '']) => file);
    assert.ok(named.length > 0, row);
    for (const file of named)
      assert.ok(readFileSync(path.join(root, file), 'utf8').includes(`row "${row}"`), `${row}: ${file}`);
  }
});
