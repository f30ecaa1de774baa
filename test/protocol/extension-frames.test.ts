import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  isMethodName,
  isPrivate,
  parseFrame,
  partBytes,
} from '../../src/protocol/messages/extension-frames.ts';

describe('isPrivate()', () => {
  it('is true of what begins with an underscore', () => {
    assert.deepEqual(['_x', '__init__', 'x_', 'AddAgent'].map(isPrivate), [true, true, false, false]);
  });
});

describe('isMethodName()', () => {
  it('takes names of functions and the like', () => {
    for (const name of ['AddAgent', 'a', 'add-agent', 'a.b', 'A1_b']) assert.equal(isMethodName(name), true);
  });

  it('refuses what could be more than a name to a program or a shell', () => {
    for (const name of [
      '',
      '-x',
      '--help',
      '/x',
      'a b',
      'a;b',
      'a$b',
      'a\nb',
      'a\0',
      '1a',
      'a'.repeat(129),
      'é',
    ]) {
      assert.equal(isMethodName(name), false, JSON.stringify(name));
    }
  });
});

describe('parseFrame()', () => {
  it('reads an object with a type, and nothing else', () => {
    assert.deepEqual(parseFrame('{"type":"ready"}'), { type: 'ready' });
    for (const text of [
      '',
      '{',
      'null',
      '7',
      '"ready"',
      '[]',
      '{"type":7}',
      '{}',
      '{"type":"log","level":"info","message":{}}',
      '{"type":"log","level":"toString","message":"x"}',
    ]) {
      assert.equal(parseFrame(text), undefined, text);
    }
  });

  it('keeps a key with an escape, after another one at that place', () => {
    for (const key of ['\\', '\n']) {
      const params = { name: 'a', data: { q: 1, [key]: 1 } };
      const frame = { type: 'ask', id: 1, call: 1, question: { services: 'Replace', params } };
      assert.deepEqual(parseFrame(JSON.stringify(frame)), frame);
    }
  });
});

describe('partBytes()', () => {
  it('returns text in UTF-8, and bytes as they were', () => {
    assert.deepEqual([...partBytes({ text: 'é' })], [0xc3, 0xa9]);
    assert.deepEqual([...partBytes({ base64: 'AP8=' })], [0, 255]);
  });
});
