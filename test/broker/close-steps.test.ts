import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { closeInOrder, type CloseStep } from '../../src/broker/close-steps.ts';

describe('closeInOrder()', () => {
  it('runs each step after the one before has ended, and those of a list together', async () => {
    const seen: string[] = [];
    const step =
      (name: string): CloseStep =>
      async () => {
        seen.push(`${name} begins`);
        await new Promise((resolve) => setImmediate(resolve));
        seen.push(`${name} ends`);
      };
    await closeInOrder([step('a'), [step('b'), step('c')], step('d')]);
    const expected = 'a begins, a ends, b begins, c begins, b ends, c ends, d begins, d ends';
    assert.equal(seen.join(', '), expected);
  });

  it('runs every step where some fail, and throws the first error', async () => {
    const seen: string[] = [];
    const fail = (name: string): CloseStep => {
      return () => {
        seen.push(name);
        throw new Error(name);
      };
    };
    await assert.rejects(closeInOrder([[fail('a'), fail('b')], fail('c')]), { message: 'a' });
    assert.deepEqual(seen, ['a', 'b', 'c']);
  });
});
