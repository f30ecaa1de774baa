import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Change, misread, type Told } from './watch-check.ts';

const changes: readonly Change[] = [
  { name: 'a', revision: 2, data: { n: 1 } },
  { name: 'b', revision: 4, data: { n: 2 } },
  { name: 'a', revision: 5 },
  { name: 'a', revision: 9, data: { n: 3 } },
];
const told = ({ name, revision, data }: Change): Told =>
  data === undefined ? { type: 'delete', name, revision } : { type: 'put', name, revision, data };
const [a1, b2, gone, a3] = changes.map(told) as [Told, Told, Told, Told];
const reset = (revision: number): Told => ({ type: 'reset', revision });

function wrong(items: readonly Told[], { after = 0, name = '', isExcused = true } = {}): string[] {
  const covers = (changed: string): boolean => name === '' || changed === name;
  return misread({ after, told: items, covers }, changes, () => isExcused);
}

describe('what a reader of a watch received', () => {
  it('is right where each change came once and in order', () => {
    assert.deepEqual(wrong([a1, b2, gone, a3]), []);
    assert.deepEqual(wrong([gone, a3], { after: 4 }), []);
    assert.deepEqual(wrong([a1, gone, a3], { name: 'a' }), []);
    assert.deepEqual(wrong([a1, b2, { ...gone, type: 'expire' }, a3]), []);
  });

  it('is right where a reset says that changes may be missing', () => {
    assert.deepEqual(wrong([a1, reset(6), a3]), []);
    assert.deepEqual(wrong([a1, b2, reset(4), gone, a3]), []);
    assert.deepEqual(wrong([reset(20)]), []);
  });

  it('is right where the entries of one state follow a reset', () => {
    const lists = (items: readonly Told[]): string[] =>
      misread({ after: 0, told: items, covers: () => true, listsAfterReset: true }, changes, () => true);
    assert.deepEqual(lists([a1, reset(4), a1, b2, gone, a3]), []);
    assert.deepEqual(lists([reset(4), b2, a3]), []);
    assert.deepEqual(lists([reset(4), reset(5), b2, a3]), []);
    assert.match(lists([reset(4), a1, gone, a3]).join(), /^A LISTING/);
    assert.match(lists([reset(5), a1, b2, a3]).join(), /^A LISTING/);
    assert.match(lists([a1, reset(4), a1, b2, a3]).join(), /^MISSED/);
  });

  for (const [what, items, message] of [
    ['a change is missing', [a1, gone, a3], /^MISSED: .*"b"/],
    ['the last change is missing', [a1, b2, gone], /^MISSED: .*"revision":9.* at the end/],
    ['a change comes twice', [a1, b2, b2, gone, a3], /^DOUBLED/],
    ['a change comes late', [b2, a1, gone, a3], /^MISSED/],
    ['a change after a reset is missing', [a1, reset(4), a3], /^MISSED: .*"revision":5/],
    ['a change before a reset comes after it', [a1, reset(5), gone, a3], /^DOUBLED/],
    ['a reset leads back', [a1, b2, reset(3), gone, a3], /^A RESET BACK/],
    ['a change of another name is reported', [a1, { ...b2, name: 'c' }, gone, a3], /^MADE UP/],
    ['another state is reported', [a1, { ...b2, data: { n: 7 } }, gone, a3], /^MADE UP/],
    ['a removal is reported as a change', [a1, b2, { ...gone, type: 'put' }, a3], /^MADE UP/],
    ['a revision is reported that nothing has', [a1, b2, gone, { ...a3, revision: 8 }, a3], /^MADE UP/],
  ] as const satisfies [string, readonly Told[], RegExp][])
    it(`is wrong where ${what}`, () => assert.match(wrong(items)[0] ?? '', message));

  it('is wrong where a reset has no reason', () => {
    assert.match(wrong([a1, reset(4), gone, a3], { isExcused: false }).join(), /^A RESET WITHOUT A REASON/);
  });
});
