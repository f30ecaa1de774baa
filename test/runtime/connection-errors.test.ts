import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { reasonWithCode } from '../../src/runtime/network/connection-errors.ts';

describe('reasonWithCode()', () => {
  it('has the words and the code of a known error, and the text of any other', () => {
    const again = Object.assign(new Error('getaddrinfo EAI_AGAIN h'), { code: 'EAI_AGAIN' });
    const words = 'the host name could not be looked up [EAI_AGAIN]';
    assert.equal(reasonWithCode(again), words);
    assert.equal(reasonWithCode(new Error('outer', { cause: again })), words);
    assert.equal(
      reasonWithCode(new Error('no route over the allowed interfaces')),
      'no route over the allowed interfaces',
    );
    assert.equal(reasonWithCode(Object.assign(new Error('send EODD'), { code: 'EODD' })), 'send EODD');
  });
});
