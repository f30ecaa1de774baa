import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seeded } from '../../support/network/http-fuzz.ts';
import { tempDir } from '../../support/temp.ts';
import { createResource, parseWrite } from './lock-resource.ts';
import { contend, lock } from '../rows/lock.ts';

describe('what checks the writes of lock holders', () => {
  it('takes writes of one holder after another, and refuses one that comes late', () => {
    const resource = createResource();
    for (const [line, isTaken] of [
      ['a 1 100', true],
      ['a 1 100', true],
      ['b 5 900', true],
      ['a 3 200', true],
      ['a 1 100', false],
      ['a 3 200', true],
    ] as const)
      assert.equal(resource.write(parseWrite(line) ?? assert.fail(line)), isTaken, line);
    assert.deepEqual([resource.accepted(), resource.late.length, resource.broken.length], [5, 1, 0]);
  });

  it('finds two holders of one revision', () => {
    const resource = createResource();
    resource.write({ lock: 'a', revision: 1, holder: 100 });
    resource.write({ lock: 'a', revision: 1, holder: 200 });
    assert.match(
      resource.broken.join(),
      /^TWO HOLDERS: a: holder 200 wrote with revision 1, and so did 100$/,
    );
  });

  it(
    'finds real processes that write when their lock is another one’s',
    { skip: lock.skip(), timeout: 120_000 },
    async () => {
      const setup = { short: true, seed: 1, random: seeded(1), scratch: tempDir(), say: () => undefined };
      const { broken } = await contend(setup, { runs: 30, isRogue: true });
      assert.match(
        broken.join('\n'),
        /^LATE: lock-\d: holder \d+ wrote with revision \d+, behind \d+ with \d+$/m,
      );
    },
  );
});
