import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NO_STATUS, statusLine } from '../../src/cli/terminal/status-line.ts';

/** The rows that a terminal shows: it knows CR, "erase to the end of the line" and autowrap. */
function shownOn(columns: number, output: string): string[] {
  const rows: string[][] = [[]];
  let at = 0;
  let wraps = true;
  // oxlint-disable-next-line no-control-regex
  for (const [part] of output.matchAll(/\u001b\[[?\d]*[A-Za-z]|[^\u001b]/gu)) {
    if (part === '\u001b[?7l') wraps = false;
    else if (part === '\u001b[?7h') wraps = true;
    else if (part === '\u001b[K') rows.at(-1)?.splice(at);
    else if (part === '\r') at = 0;
    else {
      if (at === columns && wraps) {
        rows.push([]);
        at = 0;
      }
      const row = rows.at(-1) ?? [];
      row[Math.min(at, columns - 1)] = part;
      at = Math.min(at + 1, columns);
    }
  }
  return rows.map((row) => row.join(''));
}

describe('a status line', () => {
  const seconds = (n: number): string => statusLine(`Waiting ${n} s for entry 'a-name-that-is-long' …`);

  it('is one row, which the next one replaces, however narrow the terminal is', () => {
    assert.deepEqual(shownOn(80, seconds(1) + seconds(2)), ["Waiting 2 s for entry 'a-name-that-is-long' …"]);
    assert.deepEqual(shownOn(20, seconds(1) + seconds(2)), ['Waiting 2 s for ent…']);
    assert.deepEqual(shownOn(20, seconds(1) + NO_STATUS), ['']);
  });

  it('leaves the terminal as it was for what is printed next', () => {
    assert.deepEqual(shownOn(5, `${seconds(1)}${NO_STATUS}1234567`), ['12345', '67']);
  });
});
