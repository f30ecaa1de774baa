import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  ANY_BROKER,
  decodeQuery,
  encodeQuery,
  isReply,
  openForm,
  openQuestion,
  queryProblem,
} from '../../src/protocol/discovery/datagrams.ts';
import { nameProblem } from '../../src/protocol/registry/names.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');
const text = (datagram: Uint8Array | undefined): string => Buffer.from(datagram ?? []).toString('utf8');

describe('the open query', () => {
  it('is the name and a newline, with as many spaces between as make it no shorter than the reply', () => {
    assert.equal(text(encodeQuery('foo-cluster1')), 'foo-cluster1\n');
    assert.equal(text(encodeQuery('ten bytes!')), 'ten bytes!\n');
    assert.equal(text(encodeQuery('nine byte')), 'nine byte \n');
    assert.equal(text(encodeQuery('日本')), '日本    \n');
    assert.equal(text(encodeQuery(ANY_BROKER)), '          \n');
  });

  it('is told from one that is shorter than its reply', () => {
    const isAmplified = (datagram: Uint8Array): boolean | undefined => {
      const read = openForm.read(datagram);
      assert.ok(typeof read !== 'string');
      return read.isAmplified;
    };
    for (const name of ['foo', 'foo-cluster1', ANY_BROKER])
      assert.equal(isAmplified(encodeQuery(name)), false);
    for (const query of ['foo\n', '\n', 'nine byte\n']) assert.equal(isAmplified(bytes(query)), true);
    for (const query of ['ten bytes!\n', 'foo       \n']) assert.equal(isAmplified(bytes(query)), false);
  });

  it('is read without the whitespace around it, as the original did', () => {
    for (const datagram of ['foo\n', 'foo', ' foo \r\n', '\t\v\ffoo\n\n']) {
      assert.equal(decodeQuery(bytes(datagram)), 'foo', JSON.stringify(datagram));
    }
    assert.equal(decodeQuery(bytes('foo bar\n')), 'foo bar');
    for (const datagram of ['\n', '          \n']) assert.equal(decodeQuery(bytes(datagram)), ANY_BROKER);
    assert.equal(decodeQuery(bytes('          ')), undefined);
  });

  it('asks any broker when it is a lone newline', () => {
    assert.equal(decodeQuery(bytes('\n')), ANY_BROKER);
    assert.equal(decodeQuery(bytes('\r\n')), ANY_BROKER);
    assert.equal(decodeQuery(bytes('')), undefined);
    assert.equal(decodeQuery(bytes(' ')), undefined);
  });

  it('costs no more to read with spaces within it than without', () => {
    const cost = (datagram: Uint8Array): number => {
      const began = performance.now();
      for (let n = 0; n < 200; n++) decodeQuery(datagram);
      return performance.now() - began;
    };
    const least = (filling: string): number =>
      Math.min(...Array.from({ length: 10 }, () => cost(bytes(`a${filling.repeat(500)}b\n`))));
    // By a pattern, it took 800 times as long.
    assert.ok(least(' ') < 50 * least('x'));
  });

  it('may have a name of 512 bytes, and no longer one', () => {
    const longest = 'é'.repeat(256);
    assert.equal(decodeQuery(encodeQuery(longest)), longest);
    assert.equal(decodeQuery(bytes(`${longest}x\n`)), undefined);
    assert.equal(decodeQuery(new Uint8Array(65_507).fill(0x61)), undefined);
    assert.throws(() => encodeQuery(`${longest}x`), { code: 'invalid_request', message: /512 bytes/ });
  });

  it('is none where it is not UTF-8 or has control characters inside', () => {
    for (const datagram of [
      Uint8Array.of(0xff, 0x0a),
      Uint8Array.of(0x66, 0xc3, 0x0a),
      bytes('a\nb\n'),
      bytes('a\u0000\n'),
      bytes('\u001b[31m\n'),
      bytes(`BPD2 q 00\n${' '.repeat(20)}{}`),
    ]) {
      assert.equal(decodeQuery(datagram), undefined);
    }
  });

  it('never asks for a reserved name', () => {
    for (const name of ['_access_key', '_', ' _x']) assert.equal(decodeQuery(bytes(`${name}\n`)), undefined);
    assert.throws(() => encodeQuery('_access_key'), { code: 'invalid_request', message: /reserved/ });
  });

  it('is never the reply: two brokers must not answer each other without end', () => {
    assert.equal(decodeQuery(bytes('Key Exists\n')), undefined);
    assert.throws(() => encodeQuery('Key Exists'), { code: 'invalid_request', message: /own reply/ });
  });

  it('refuses names that would not arrive as they are', () => {
    assert.throws(() => encodeQuery(' foo'), { code: 'invalid_request', message: /spaces around/ });
    // Not whitespace to the original, so part of the name.
    assert.equal(decodeQuery(encodeQuery('\u00a0foo\ufeff')), '\u00a0foo\ufeff');
  });

  it('carries every name that can be asked for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (name) => {
        fc.pre(queryProblem(name) === undefined);
        assert.equal(decodeQuery(encodeQuery(name)), name);
      }),
    );
  });

  it('can be any bytes at all: reading returns nothing, or a name that an entry may have', () => {
    const datagram = fc.oneof(
      fc.uint8Array({ maxLength: 600 }),
      fc.string({ unit: 'binary', maxLength: 200 }).map(bytes),
    );
    fc.assert(
      fc.property(datagram, (data) => {
        const name = decodeQuery(data);
        if (name !== undefined && name !== ANY_BROKER) assert.equal(nameProblem(name), undefined);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the open reply', () => {
  it("is the original's text, whatever was asked", () => {
    for (const query of ['foo\n', '\n']) {
      const read = openForm.read(bytes(query));
      assert.ok(typeof read !== 'string');
      assert.equal(text(read.reply('127.0.0.1')), 'Key Exists\n');
    }
    assert.equal(openForm.read(bytes('_access_key\n')), 'malformed');
  });

  it('is told from anything else', () => {
    for (const datagram of ['Key Exists\n', 'Key Exists', 'Key Exists\r\n'])
      assert.ok(isReply(bytes(datagram)));
    for (const datagram of [
      '',
      'foo\n',
      'Key Exists already\n',
      'BPD2 r 00\n{}',
      `Key Exists${' '.repeat(90)}`,
    ]) {
      assert.ok(!isReply(bytes(datagram)), datagram);
    }
    assert.deepEqual(openQuestion('foo').read(bytes('Key Exists\n')), { form: 'open' });
    assert.equal(openQuestion('foo').read(bytes('foo\n')), undefined);
  });
});
