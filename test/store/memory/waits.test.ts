import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BrokerError } from '../../../src/protocol/errors.ts';
import type { Entry } from '../../../src/protocol/registry/entry.ts';
import type { PrefixCount, PrefixCounts } from '../../../src/store/memory/prefix-counts.ts';
import { createRegistryState, type RegistryState } from '../../../src/store/memory/registry-state.ts';
import { createWaits } from '../../../src/store/memory/waits.ts';

/** A registry in memory whose changes are applied one by one, as a driver does. */
function registry(): { state: RegistryState; put(name: string): void; remove(name: string): void } {
  const state = createRegistryState({}, () => Promise.resolve());
  const apply = (name: string, isThere: boolean): void => {
    const revision = state.revision + 1;
    const entry = { name, data: {}, lastWriteTs: 0, lastWriteIp: '', revision };
    state.apply(
      isThere ? { type: 'put', name, revision, entry } : { type: 'delete', name, revision },
      1,
      isThere ? 1 : 0,
    );
  };
  return { state, put: (name) => apply(name, true), remove: (name) => apply(name, false) };
}

const never = (): AbortSignal => new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * A bootstrap: all wait for one entry, then each makes its own and waits until there are as many as nodes.
 * @returns how often a waiter looked whether its condition holds, and how often the count was compared.
 */
async function looksOf(nodes: number): Promise<number> {
  let looks = 0;
  let value = 0;
  const entries = new Map<string, Entry>();
  const listeners = new Set<() => void>();
  const index = {
    revision: 0,
    get(name: string): Entry | undefined {
      looks++;
      return entries.get(name);
    },
  };
  const count: PrefixCount = {
    ready: Promise.resolve(),
    isReady: true,
    letGo: () => undefined,
    get value() {
      looks++;
      return value;
    },
  };
  const counts: PrefixCounts = {
    changed: () => undefined,
    hold(_, onChange) {
      if (onChange) listeners.add(onChange);
      return count;
    },
  };
  const waits = createWaits(index, counts);
  const put = (name: string): void => {
    entries.set(name, { name, data: {}, lastWriteTs: 0, lastWriteIp: '', revision: 1 });
    if (name.startsWith('node/')) value++;
    for (const tell of listeners) tell();
    waits.made(name);
  };
  // A waiter that is woken has looked before the next change.
  const settle = async (): Promise<void> => {
    for (let answered = 0; answered <= nodes; answered += 8) await turn();
  };
  const readers = Array.from({ length: nodes }, () => waits.forEntry('master', never()));
  for (let i = 0; i < nodes; i++) {
    put(`other/${i}`);
    await settle();
  }
  put('master');
  await Promise.all(readers);
  const barrier: Promise<unknown>[] = [];
  for (let i = 0; i < nodes; i++) {
    put(`node/${i}`);
    barrier.push(waits.forCount('node/', nodes, never()));
    await settle();
  }
  await Promise.all(barrier);
  return looks;
}

describe('waits', () => {
  it('of a fleet look as often as it has nodes, and not as its square', async () => {
    const [some, thrice] = [await looksOf(100), await looksOf(300)];
    assert.ok(thrice <= 3.2 * some, `${some} looks of 100 nodes, ${thrice} of 300`);
  });

  it('that end at once are answered piece by piece, with turns of the event loop between', async () => {
    const { state, put } = registry();
    let answered = 0;
    const waits = Array.from({ length: 5000 }, async () => {
      await state.waitForEntry('master', never());
      answered++;
    });
    const barrier = Array.from({ length: 5000 }, async () => {
      await state.waitForCount('', 1, never());
      answered++;
    });
    await turn();
    put('master');
    let most = 0;
    for (let turns = 0; turns < 3000; turns++) {
      const before = answered;
      await turn();
      most = Math.max(most, answered - before);
    }
    assert.equal(answered, 10_000);
    assert.ok(most <= 16, `${most} in one turn`);
    await Promise.all([...waits, ...barrier]);
  });

  it('go on when what they waited for is gone before their turn', async () => {
    const { state, put, remove } = registry();
    const names: string[] = [];
    const waits = Array.from({ length: 100 }, async () => {
      names.push((await state.waitForEntry('a', never())).name);
    });
    const counts: number[] = [];
    const barrier = Array.from({ length: 100 }, async () => {
      counts.push((await state.waitForCount('a', 1, never())).count);
    });
    await turn();
    put('a');
    remove('a');
    for (let i = 0; i < 20; i++) await turn();
    assert.ok(names.length < 100 && counts.length < 100, `${names.length} ${counts.length}`);
    put('a');
    await Promise.all([...waits, ...barrier]);
    assert.equal(names.length, 100);
    assert.ok(counts.every((count) => count === 1));
  });

  it('are met each by its own number, the smallest first', async () => {
    const { state, put } = registry();
    const met: number[] = [];
    const waits = [5, 3, 4, 3, 1].map(async (wanted) => {
      const { count, revision } = await state.waitForCount('n/', wanted, never());
      assert.ok(count >= wanted && revision >= wanted);
      met.push(wanted);
    });
    for (let i = 1; i <= 5; i++) {
      put(`n/${i}`);
      put(`elsewhere/${i}`);
      await turn();
      await turn();
      assert.deepEqual(met, [1, 3, 3, 4, 5].slice(0, [1, 1, 3, 4, 5][i - 1]));
    }
    await Promise.all(waits);
  });

  it('end with the reason of their signal, and leave nothing behind', async () => {
    const { state, put } = registry();
    const ending = new AbortController();
    const reason = new Error('the caller has gone');
    const waits = [
      state.waitForEntry('a', ending.signal),
      state.waitForCount('a', 1, ending.signal),
      state.waitForEntry('a', AbortSignal.abort(reason)),
      state.waitForCount('a', 1, AbortSignal.abort(reason)),
    ];
    const ends = Promise.allSettled(waits);
    await turn();
    ending.abort(reason);
    for (const end of await ends) assert.equal(end.status === 'rejected' && end.reason, reason);
    put('a');
    await turn();
  });

  it('are refused when the store is closed, those to come included', async () => {
    const { state } = registry();
    const waits = [state.waitForEntry('a', never()), state.waitForCount('a', 1, never())];
    const ends = Promise.allSettled(waits);
    await turn();
    const error = new BrokerError('unavailable', 'closed');
    state.end(error);
    for (const end of await ends) assert.equal(end.status === 'rejected' && end.reason, error);
    await assert.rejects(state.waitForEntry('a', never()), error);
    await assert.rejects(state.waitForCount('a', 1, never()), error);
  });
});
