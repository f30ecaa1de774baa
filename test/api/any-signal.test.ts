import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';
import { anySignal } from '../../src/api/requests/any-signal.ts';

describe('firstOf()', () => {
  it('is aborted with the first of two, with its reason', () => {
    for (const which of [0, 1]) {
      const both = [new AbortController(), new AbortController()] as const;
      const { signal } = anySignal(both[0].signal, both[1].signal);
      assert.equal(signal.aborted, false);
      both[which === 0 ? 0 : 1].abort('first');
      both[which === 0 ? 1 : 0].abort('second');
      assert.equal(signal.reason, 'first');
    }
    const never = new AbortController().signal;
    assert.equal(anySignal(AbortSignal.abort('before'), never).signal.reason, 'before');
    assert.equal(anySignal(never, AbortSignal.abort('before')).signal.reason, 'before');
  });

  it('leaves nothing on either once it is let go, or aborted', () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const left = (): number =>
      getEventListeners(one.signal, 'abort').length + getEventListeners(other.signal, 'abort').length;
    const { signal, letGo } = anySignal(one.signal, other.signal);
    assert.equal(left(), 2);
    letGo();
    assert.equal(left(), 0);
    one.abort();
    assert.equal(signal.aborted, false);
    const next = new AbortController();
    anySignal(next.signal, other.signal);
    next.abort();
    assert.equal(left(), 0);
    // Of those that wait for one, each hears of it.
    const both = [anySignal(one.signal, other.signal), anySignal(new AbortController().signal, other.signal)];
    other.abort('all');
    for (const { signal: ended } of both) assert.ok(ended.aborted);
    assert.equal(left(), 0);
  });
});
