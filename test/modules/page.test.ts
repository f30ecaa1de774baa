import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { createPageText, type PageText } from '../../src/modules/services/page-text.ts';
import type { Entry } from '../../src/protocol/registry/entry.ts';

/** Memory of which nothing is left once it is not held: what garbage collection may do at any moment. */
class GoneAtOnce {
  deref(): undefined {
    return undefined;
  }
}

const decoder = new TextDecoder();

function readAll(text: PageText): string {
  let whole = '';
  for (let index = 0; ; index++) {
    const piece = text.piece(index);
    if (piece === undefined) return whole;
    whole += decoder.decode(piece);
  }
}

function entriesOf(lengths: readonly number[]): Entry[] {
  return lengths.map((length, n) => ({
    name: `e${n}`,
    data: { v: 'x'.repeat(length) },
    lastWriteTs: 1,
    lastWriteIp: '',
    revision: 1,
  }));
}

describe('the text of a page, of which no piece is in memory any more', () => {
  const own = globalThis.WeakRef;
  before(() => {
    globalThis.WeakRef = GoneAtOnce as unknown as WeakRefConstructor;
  });
  after(() => {
    globalThis.WeakRef = own;
  });

  it('is the same again where the page is cut right after a piece', () => {
    const text = createPageText({ entries: entriesOf(Array(20).fill(3000)), revision: 5 }, 20, 20_000);
    const first = readAll(text);
    assert.equal((JSON.parse(first) as { data: { next: string } }).data.next, 'e5');
    assert.equal(readAll(text), first);
  });

  it('is the same for every reader, with long and short entries in any order, wherever it is cut', () => {
    const lengths = fc.array(fc.constantFrom(10, 3000, 4000, 4100, 17_000), { maxLength: 16 });
    const maxBytes = fc.integer({ min: 1, max: 60_000 });
    fc.assert(
      fc.property(lengths, maxBytes, fc.boolean(), (sizes, max, hasNext) => {
        const entries = entriesOf(sizes);
        const page = { entries, revision: 5, ...(hasNext ? { next: 'z' } : {}) };
        const text = createPageText(page, 99, max);
        const first = readAll(text);
        const { data, revision } = JSON.parse(first) as {
          data: { entries: { name: string }[]; count: number; next?: string };
          revision: number;
        };
        const names = data.entries.map(({ name }) => name);
        assert.deepEqual(
          names,
          entries.slice(0, names.length).map(({ name }) => name),
        );
        const wasCut = names.length < entries.length;
        const next = wasCut ? names.at(-1) : page.next;
        assert.deepEqual([data.count, data.next, revision], [99, next, 5]);
        assert.equal(readAll(text), first);
      }),
      { numRuns: 300 },
    );
  });
});
