import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../../src/protocol/logger.ts';
import type { Call } from '../../src/modules/module.ts';
import { createServices } from '../../src/modules/services/services.ts';
import type { Store } from '../../src/store/store.ts';
import { openIn, put, remove } from '../store/support.ts';
import { tempDir } from '../support/temp.ts';

/** A store that tells how often a prefix was counted. */
function tallying(store: Store): { store: Store; counted: { live: number; once: number; open: number } } {
  const counted = { live: 0, once: 0, open: 0 };
  return {
    counted,
    store: {
      ...store,
      get revision() {
        return store.revision;
      },
      count(prefix) {
        counted.once++;
        return store.count(prefix);
      },
      liveCount(prefix) {
        counted.live++;
        counted.open++;
        const count = store.liveCount(prefix);
        return {
          ready: count.ready,
          get value() {
            return count.value;
          },
          close() {
            counted.open--;
            count.close();
          },
        };
      },
    },
  };
}

describe('services.List with wait_count', () => {
  it('counts once however many changes it waits through, and lets the count go', async () => {
    const file = await openIn(tempDir());
    const { store, counted } = tallying(file);
    for (let i = 0; i < 20; i++) await file.mutate(`a/${i}`, put('x'));
    const kept = { open: false };
    const call: Call = {
      params: { prefix: 'a/', wait: '60s', wait_count: 45 },
      httpMethod: 'POST',
      clientAddress: '127.0.0.1',
      signal: new AbortController().signal,
      log: silentLogger,
      get registry(): never {
        throw new Error('not asked for');
      },
      header: () => undefined,
      keepOpen: () => (kept.open = true),
      drop: () => undefined,
    };
    const answer = Promise.resolve(createServices(store).call('List', call));
    for (let i = 20; i < 44; i++) await file.mutate(`a/${i}`, put('x'));
    // Neither a change of what is counted already, nor one elsewhere, nor one that is taken back.
    await file.mutate('a/3', put('y'));
    await file.mutate('b', put('x'));
    await file.mutate('a/0', remove);
    await file.mutate('a/44', put('x'));
    await file.mutate('a/45', put('x'));
    const { body: text } = await answer;
    assert.ok(typeof text === 'string');
    const body = JSON.parse(text) as { data: { count: number } };
    assert.equal(body.data.count, 45);
    assert.deepEqual(counted, { live: 1, once: 0, open: 0 });
    assert.ok(kept.open);
    await file.close();
  });
});
