import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withKeepAlive } from '../../src/modules/keep-alive.ts';

/** Counts who attaches to it. */
class Counted<T> extends Promise<T> {
  attached = 0;

  // oxlint-disable-next-line unicorn/no-thenable -- a promise has one
  override then<A = T, B = never>(
    onValue?: ((value: T) => A | PromiseLike<A>) | null,
    onError?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.attached++;
    return super.then(onValue, onError);
  }
}

/** A source whose next value the test gives. */
function openSource(): {
  readonly source: AsyncIterable<string>;
  /** How often somebody has attached to the promise of the next value. */
  attached(): number;
  give(value: string): void;
  fail(error: Error): void;
} {
  let resolve: (result: IteratorResult<string>) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  let last: Counted<IteratorResult<string>> | undefined;
  const next = (): Promise<IteratorResult<string>> =>
    (last = new Counted((onValue, onError) => {
      [resolve, reject] = [onValue, onError];
    }));
  return {
    source: { [Symbol.asyncIterator]: () => ({ next }) },
    attached: () => last?.attached ?? 0,
    give: (value) => resolve({ done: false, value }),
    fail: (error) => reject(error),
  };
}

describe('withKeepAlive()', () => {
  it('attaches once to a source that is silent, however often it shows that it is alive', async () => {
    const { source, attached, give } = openSource();
    const items = withKeepAlive(source, 1);
    for (let beat = 0; beat < 100; beat++) {
      assert.deepEqual(await items.next(), { done: false, value: undefined });
    }
    assert.equal(attached(), 1);
    give('a change');
    assert.deepEqual(await items.next(), { done: false, value: 'a change' });
  });

  it('yields what comes while it waits or before that, and fails with its source', async () => {
    const { source, give, fail } = openSource();
    const items = withKeepAlive(source, 60_000);
    const first = items.next();
    give('one');
    assert.deepEqual(await first, { done: false, value: 'one' });
    const second = items.next();
    fail(new Error('the registry is closed'));
    await assert.rejects(second, /the registry is closed/);
    assert.deepEqual(await items.next(), { done: true, value: undefined });
  });
});
