import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Answer, type Call, type Data, violations } from './linearizable.ts';

const data = (n: number, ...others: number[]): Data => ({
  n,
  by: Object.fromEntries([...others, n].map((mark) => [`c${mark}`, mark])),
});
const absent: Answer = { is: 'absent' };
const unknown: Answer = { is: 'unknown' };
const undone: Answer = { is: 'undone' };
const done = (revision: number, held?: Data): Answer => ({
  is: 'done',
  revision,
  ...(held && { data: held }),
});
const refused = (present?: number): Answer => ({ is: 'refused', ...(present !== undefined && { present }) });

/** A call from one moment to another; one without an answer never ends. */
function call(
  kind: Call['kind'],
  began: number,
  ended: number,
  answer: Answer,
  more: { mark?: number; ifRevision?: number } = {},
): Call {
  const { mark, ifRevision } = more;
  return {
    kind,
    name: 'a',
    began,
    ended: answer.is === 'unknown' ? Infinity : ended,
    answer,
    ...(mark !== undefined && { data: data(mark) }),
    ...(ifRevision !== undefined && { ifRevision }),
  };
}

const put = (began: number, ended: number, revision: number, mark: number): Call =>
  call('replace', began, ended, done(revision, data(mark)), { mark });
const get = (began: number, ended: number, revision: number, mark: number): Call =>
  call('get', began, ended, done(revision, data(mark)));

describe('the search for an order of concurrent calls', () => {
  for (const [what, history] of Object.entries<readonly Call[]>({
    'calls one after another': [
      call('get', 0, 1, absent),
      call('register', 2, 3, done(5, data(1)), { mark: 1 }),
      call('register', 4, 5, refused(), { mark: 2 }),
      call('update', 6, 7, done(8, data(3, 1)), { mark: 3 }),
      call('replace', 8, 9, refused(8), { mark: 4, ifRevision: 5 }),
      call('delete', 10, 11, done(9), { ifRevision: 8 }),
      call('delete', 12, 13, done(30)),
      call('replace', 14, 15, refused(0), { mark: 5, ifRevision: 9 }),
      call('register', 16, 17, done(31, data(6)), { mark: 6, ifRevision: 0 }),
    ],
    'reads of two states while a write runs': [
      put(0, 1, 1, 1),
      put(2, 9, 2, 2),
      get(3, 4, 1, 1),
      get(5, 6, 2, 2),
    ],
    'a write without an answer that is done late': [
      put(0, 1, 1, 1),
      call('replace', 2, 3, unknown, { mark: 2 }),
      get(4, 5, 1, 1),
      get(6, 7, 2, 2),
    ],
    'a write without an answer that is never done': [
      put(0, 1, 1, 1),
      call('replace', 2, 3, unknown, { mark: 2 }),
      call('update', 4, 5, done(2, data(3, 1)), { mark: 3 }),
    ],
    'a deletion without an answer that a read shows': [
      put(0, 1, 1, 1),
      call('delete', 2, 3, unknown),
      get(4, 5, 1, 1),
      call('get', 6, 7, absent),
    ],
    'a deletion that runs while another finds nothing': [
      put(0, 1, 1, 1),
      call('delete', 2, 9, done(4)),
      call('delete', 3, 4, done(4)),
    ],
    'writes without an answer whose revisions refusals tell': [
      put(0, 1, 1, 1),
      call('replace', 2, 3, unknown, { mark: 2 }),
      call('replace', 2, 3, unknown, { mark: 3 }),
      call('replace', 4, 9, refused(8), { mark: 4, ifRevision: 1 }),
      call('replace', 4, 9, refused(5), { mark: 5, ifRevision: 1 }),
      put(10, 11, 9, 6),
    ],
  }))
    it(`finds one for ${what}`, () => assert.deepEqual(violations(history), []));

  for (const [what, history] of Object.entries<readonly Call[]>({
    'a read of what was replaced before': [put(0, 1, 1, 1), put(2, 3, 2, 2), get(4, 5, 1, 1)],
    'a read behind an earlier read': [put(0, 1, 1, 1), put(2, 9, 2, 2), get(3, 4, 2, 2), get(5, 6, 1, 1)],
    'a read of what was not written yet': [put(0, 1, 1, 1), get(2, 3, 2, 2), put(4, 5, 2, 2)],
    'an acknowledged write that is lost': [put(0, 1, 1, 1), call('get', 2, 3, absent)],
    'an acknowledged deletion that is lost': [
      put(0, 1, 1, 1),
      call('delete', 2, 3, done(2)),
      get(4, 5, 1, 1),
    ],
    'two registrations that win': [
      call('register', 0, 9, done(1, data(1)), { mark: 1 }),
      call('register', 0, 9, done(2, data(2)), { mark: 2 }),
    ],
    'a registration that is refused though there is nothing': [
      call('register', 0, 1, refused(), { mark: 1 }),
    ],
    'an update that loses another': [
      put(0, 1, 1, 1),
      call('update', 2, 9, done(2, data(2, 1)), { mark: 2 }),
      call('update', 2, 9, done(3, data(3, 1)), { mark: 3 }),
    ],
    'a condition that is not kept': [
      put(0, 1, 1, 1),
      put(2, 3, 2, 2),
      call('replace', 4, 5, done(3, data(3)), { mark: 3, ifRevision: 1 }),
    ],
    'a condition that holds and is refused': [
      put(0, 1, 1, 1),
      call('replace', 2, 3, refused(1), { mark: 2, ifRevision: 1 }),
    ],
    'a refusal that names a revision of the past': [
      put(0, 1, 1, 1),
      put(2, 3, 2, 2),
      put(4, 5, 3, 3),
      call('replace', 6, 7, refused(2), { mark: 4, ifRevision: 1 }),
    ],
    'a write that was refused, and done': [
      put(0, 1, 1, 1),
      call('register', 2, 3, refused(), { mark: 2 }),
      get(4, 5, 2, 2),
    ],
    'a write that was to be undone, and was done': [
      put(0, 1, 1, 1),
      call('replace', 2, 3, undone, { mark: 2 }),
      get(4, 5, 2, 2),
    ],
    'a deletion that was to be undone, and was done': [
      put(0, 1, 1, 1),
      call('delete', 2, 3, undone),
      call('get', 4, 5, absent),
    ],
    'a write without an answer that is done twice': [
      put(0, 1, 1, 1),
      call('replace', 2, 3, unknown, { mark: 2 }),
      get(4, 5, 2, 2),
      put(6, 7, 3, 3),
      get(8, 9, 4, 2),
    ],
    'revisions against time': [put(0, 1, 2, 1), put(2, 3, 1, 2)],
    'one revision for two writes': [put(0, 9, 1, 1), put(0, 9, 1, 2)],
    'what nobody wrote': [put(0, 1, 1, 1), get(2, 3, 2, 9)],
  }))
    it(`finds none for ${what}`, () => assert.equal(violations(history).length, 1));

  it('tells by name which calls it cannot explain', () => {
    const other = { ...put(0, 1, 7, 7), name: 'b' };
    const [only, ...more] = violations([other, put(0, 1, 1, 1), call('get', 2, 3, absent)]);
    assert.deepEqual(more, []);
    assert.match(only ?? '', /^a: no order explains it: after 1 of 2 calls .*"is":"absent"/);
  });
});
