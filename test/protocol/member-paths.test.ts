import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BrokerError } from '../../src/protocol/errors.ts';
import { parseMember, withoutMembers } from '../../src/protocol/registry/member-paths.ts';

describe('parseMember()', () => {
  it('leads inwards by dots, and takes a dot or a backslash for itself behind a backslash', () => {
    assert.deepEqual(parseMember('a', 'x'), ['a']);
    assert.deepEqual(parseMember('db.host', 'x'), ['db', 'host']);
    assert.deepEqual(parseMember(String.raw`a\.b.c\\d\\.e`, 'x'), ['a.b', String.raw`c\d` + '\\', 'e']);
    assert.deepEqual(parseMember(' é.__proto__', 'x'), [' é', '__proto__']);
  });

  it('refuses what names no member', () => {
    for (const wrong of ['', '.', 'a.', '.a', 'a..b', '\\', String.raw`a\b`]) {
      assert.throws(
        () => parseMember(wrong, '--unset', 'usage'),
        (error: BrokerError) =>
          error.code === 'usage' && error.message.startsWith(`Invalid --unset '${wrong}': `),
        wrong,
      );
    }
  });
});

describe('parseMember() of a path that leads deeper than data goes', () => {
  it('refuses it, whatever its length, and takes the deepest that there may be', () => {
    assert.equal(parseMember(Array(64).fill('a').join('.'), 'x').length, 64);
    for (const names of [65, 500_000]) {
      assert.throws(
        () => parseMember(Array(names).fill('a').join('.'), 'x'),
        (error: BrokerError) =>
          error.code === 'invalid_request' &&
          error.message.length < 300 &&
          error.message.includes('no data is deeper than 64 levels'),
      );
    }
  });
});

describe('withoutMembers()', () => {
  const data = { a: { b: 1, c: { d: null, e: [{ f: 1 }] } }, 'x.y': 2, z: 'text' };
  const without = (...members: string[]): unknown =>
    withoutMembers(
      data,
      members.map((member) => parseMember(member, 'x')),
    );

  it('leaves out those members, and nothing else', () => {
    assert.deepEqual(without('z'), { a: data.a, 'x.y': 2 });
    assert.deepEqual(without('a.c.d', 'a.b'), { a: { c: { e: [{ f: 1 }] } }, 'x.y': 2, z: 'text' });
    assert.deepEqual(without(String.raw`x\.y`), { a: data.a, z: 'text' });
    assert.deepEqual(without('a.b', 'a'), { 'x.y': 2, z: 'text' });
    assert.deepEqual(without('a', 'a.b'), { 'x.y': 2, z: 'text' });
  });

  it('takes a member that is not there for gone, and looks into no list and no text', () => {
    const same = [
      'none',
      'a.none',
      'a.b.none',
      'a.c.e.0',
      'z.length',
      'x.y',
      '__proto__',
      'constructor.name',
    ];
    for (const member of same) assert.deepEqual(without(member), data, member);
  });

  it('changes nothing in place', () => {
    const before = structuredClone(data);
    without('a.c.d', 'z');
    assert.deepEqual(data, before);
  });
});
