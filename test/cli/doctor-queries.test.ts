import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { askAddress, questionsFor } from '../../src/cli/doctor/network/discovery-queries.ts';

describe('askAddress()', () => {
  it('says in words why a host name could not be asked, with the code of the system', async () => {
    const questions = await questionsFor(undefined, undefined);
    const { answers, error } = await askAddress({ host: 'nowhere.invalid', port: 1 }, questions, 10_000);
    assert.equal(answers, false);
    assert.match(error ?? '', /^(?:no such host|the host name could not be looked up) \[\w+\]$/);
  });
});
