import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  checkNumbers,
  type JsonObject,
  MAX_DATA_BYTES,
  MAX_DATA_DEPTH,
  mergeData,
  sameData,
  stringOf,
  toEntryData,
} from '../../src/protocol/formats/data.ts';

describe('toEntryData()', () => {
  it('stores text that is a JSON object as that object', () => {
    assert.deepEqual(toEntryData('{"key": "special data"}'), { key: 'special data' });
    assert.deepEqual(toEntryData('  {"a": [1, {"b": null}]}\n'), { a: [1, { b: null }] });
  });

  it('stores any other text as the string it is', () => {
    for (const text of [
      'bar',
      '',
      '5',
      'true',
      'null',
      '[1, 2]',
      '"quoted"',
      '{broken',
      '{} trailing',
      '--data',
      'a\nb',
    ]) {
      assert.deepEqual(toEntryData(text), { _str: text }, text);
    }
  });

  it('refuses what is neither an object nor a string', () => {
    for (const value of [5, true, null, undefined, ['a']]) {
      assert.throws(() => toEntryData(value), {
        code: 'invalid_request',
        message: /expected a JSON object or a string/,
      });
    }
  });

  it('refuses the stamps as keys, at the top alone', () => {
    for (const key of ['last_write_ip', 'last_write_ts']) {
      assert.throws(() => toEntryData({ [key]: 1 }), { code: 'invalid_request', message: new RegExp(key) });
      assert.deepEqual(toEntryData({ inner: { [key]: 1 } }), { inner: { [key]: 1 } });
    }
  });

  it('refuses keys that could reach a prototype, at any depth and in arrays', () => {
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      for (const text of [`{"${key}": {"x": 1}}`, `{"a": {"${key}": 1}}`, `{"a": [[{"${key}": 1}]]}`]) {
        assert.throws(() => toEntryData(text), { code: 'invalid_request', message: new RegExp(key) }, text);
      }
    }
    assert.equal(({} as JsonObject)['x'], undefined);
  });

  it(`takes ${MAX_DATA_DEPTH} levels and refuses one more`, () => {
    const nested = (levels: number): string => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
    assert.ok(toEntryData(nested(MAX_DATA_DEPTH)));
    assert.throws(() => toEntryData(nested(MAX_DATA_DEPTH + 1)), {
      code: 'invalid_request',
      message: /64 levels/,
    });
  });

  it('takes 1 MiB of JSON and refuses one byte more, counting bytes and not characters', () => {
    const frame = JSON.stringify({ _str: '' }).length;
    assert.ok(toEntryData('x'.repeat(MAX_DATA_BYTES - frame)));
    assert.throws(() => toEntryData('x'.repeat(MAX_DATA_BYTES - frame + 1)), { code: 'too_large' });
    assert.throws(() => toEntryData('é'.repeat(MAX_DATA_BYTES / 2)), { code: 'too_large' });
  });

  it('refuses an integer that a double would change, and keeps one inside a string', () => {
    assert.throws(() => toEntryData('{"id": 9007199254740993}'), {
      message: /9007199254740993 cannot be kept exactly/,
    });
    assert.deepEqual(toEntryData('{"id": "9007199254740993"}'), { id: '9007199254740993' });
    assert.deepEqual(toEntryData('{"n": 0.1234567890123456}'), { n: 0.1234567890123456 });
    for (const number of ['12345678901234567890.0', '1e999', '-1e999']) {
      assert.throws(() => toEntryData(`{"n": ${number}}`), {
        code: 'invalid_request',
        message: /send it as a string/,
      });
    }
    assert.doesNotThrow(() => checkNumbers('{"n": 9007199254740991}'));
  });

  it('finds no integer in a string of any length, with escapes or without', () => {
    for (const data of ['9'.repeat(1_010_000), '99999999999999999999\n"\\'.repeat(40_000)]) {
      assert.doesNotThrow(() => checkNumbers(JSON.stringify({ data, n: 1 })));
      assert.throws(() => checkNumbers(JSON.stringify({ data }).replace('{', '{"n":9007199254740993,')));
    }
  });

  it('refuses a _str that is not a string', () => {
    assert.throws(() => toEntryData({ _str: 5 }), { code: 'invalid_request', message: /_str/ });
  });
});

describe('mergeData()', () => {
  it('merges objects deeply, lets new values win, and replaces arrays', () => {
    const base = { a: 1, deep: { x: 1, list: [1, 2] }, gone: 'no' };
    const merged = mergeData(base, { deep: { y: 2, list: [3] }, gone: { now: 'object' }, b: null });
    assert.deepEqual(merged, { a: 1, deep: { x: 1, y: 2, list: [3] }, gone: { now: 'object' }, b: null });
    assert.deepEqual(base, { a: 1, deep: { x: 1, list: [1, 2] }, gone: 'no' });
  });
});

describe('sameData()', () => {
  it('compares as JSON: the order of keys does not count, that of items does', () => {
    assert.ok(sameData({ a: 1, b: [{ c: 2 }] }, { b: [{ c: 2 }], a: 1 }));
    assert.ok(!sameData({ a: [1, 2] }, { a: [2, 1] }));
    assert.ok(!sameData({ a: 1 }, { a: 1, b: 2 }));
    assert.ok(!sameData({ a: null }, { b: null }));
    assert.ok(!sameData({ a: {} }, { a: [] }));
  });
});

describe('stringOf()', () => {
  it('returns the string of an entry that is one, and nothing for an object beside it', () => {
    assert.equal(stringOf({ _str: 'bar' }), 'bar');
    assert.equal(stringOf({ _str: 'bar', key: 1 }), undefined);
    assert.equal(stringOf({}), undefined);
  });
});
