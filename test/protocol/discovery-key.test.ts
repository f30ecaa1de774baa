import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { discoveryKeyProblem } from '../../src/protocol/discovery/discovery-key.ts';

describe('a discovery key', () => {
  it('may be anything random of 128 bits, in hex or base64', () => {
    for (let i = 0; i < 1000; i++) {
      for (const [size, form] of [
        [32, 'hex'],
        [16, 'hex'],
        [16, 'base64'],
        [16, 'base64url'],
        [32, 'base64'],
      ] as const) {
        const key = randomBytes(size).toString(form);
        // One in 100,000 has letters of one case alone, and looks as if it held less.
        if (form !== 'hex' && !(/[a-z]/.test(key) && /[A-Z]/.test(key))) continue;
        assert.equal(discoveryKeyProblem(key), undefined, key);
      }
    }
  });

  it('may not hold less than 128 bits', () => {
    for (const key of [
      'secret',
      '0123456789abcdef0123456789abcde',
      'abcdefghijklmnopqrstuvwxyz',
      'ABCDefghIJKLmnop12345',
      '12345678901234567890123456789012',
    ]) {
      assert.match(discoveryKeyProblem(key) ?? '', /at least 128 bits.*'bpbroker keygen'/);
    }
  });

  it('may not be the hash of one, as access keys may', () => {
    const hash = `sha256:${randomBytes(32).toString('hex')}`;
    assert.match(discoveryKeyProblem(hash) ?? '', /cannot be hashed/);
  });

  it('may not repeat a few characters, nor hold what is no text of a key; the reason never repeats it', () => {
    for (const key of ['0'.repeat(64), 'abcabcab'.repeat(8), '01'.repeat(60)]) {
      const problem = discoveryKeyProblem(key) ?? '';
      assert.match(problem, /repeats.*'bpbroker keygen'/);
      assert.ok(!problem.includes(key));
    }
    const long = '0123456789abcdef'.repeat(4);
    for (const key of ['', ` ${long}`, `${long}\n`, `${long} ${long}`, `${long}é`])
      assert.match(discoveryKeyProblem(key) ?? '', /printable ASCII.*'bpbroker keygen'/);
  });
});
