import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deletePrefix } from '../../src/modules/services/delete-prefix.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { Store } from '../../src/store/store.ts';

async function put(store: Store, name: string, text = 'x'): Promise<void> {
  await store.mutate(name, () => ({
    action: 'put',
    entry: { name, data: { _str: text }, lastWriteTs: 0, lastWriteIp: '' },
  }));
}

async function storeWith(count: number): Promise<Store> {
  const store = memoryStore();
  for (let n = 0; n < count; n++) await put(store, `a/${String(n).padStart(4, '0')}`);
  for (const name of ['a', 'b', 'A/1']) await put(store, name);
  return store;
}

describe('deletePrefix()', () => {
  it('removes a page of entries at a time, those of the prefix alone, and says where the next one begins', async () => {
    const store = await storeWith(2500);
    const first = await deletePrefix(store, 'a/');
    assert.deepEqual([first.deleted, first.next, first.revision], [1000, 'a/0999', store.revision]);
    assert.equal(await store.count('a/'), 1500);
    const second = await deletePrefix(store, 'a/', { after: first.next });
    assert.deepEqual([second.deleted, second.next], [1000, 'a/1999']);
    const third = await deletePrefix(store, 'a/', { after: second.next });
    assert.deepEqual([third.deleted, third.next], [500, undefined]);
    assert.equal(await store.count(''), 3);
    const again = await deletePrefix(store, 'a/');
    assert.deepEqual(again, { deleted: 0, changes: [], revision: store.revision });
  });

  it('removes what is written between reading the names and removing them, and counts what was gone by then', async () => {
    const store = await storeWith(10);
    const racing: Store = Object.create(store, {
      list: {
        value: async (options: object) => {
          const page = await store.list(options);
          await put(store, 'a/0003', 'written meanwhile');
          await store.mutate('a/0004', () => ({ action: 'delete' }));
          return page;
        },
      },
    }) as Store;
    const { deleted } = await deletePrefix(racing, 'a/');
    assert.deepEqual([deleted, await store.count('a/')], [9, 0]);
  });

  it('fails with what the store says once all of the batch are decided, and leaves no entry in part', async () => {
    const store = await storeWith(10);
    let settled = 0;
    const failing: Store = Object.create(store, {
      mutate: {
        value: async (name: string, mutation: Parameters<Store['mutate']>[1]) => {
          if (name === 'a/0002') throw new BrokerError('unavailable', 'the disk is full');
          const result = await store.mutate(name, mutation);
          await new Promise((resolve) => setTimeout(resolve, 5));
          settled++;
          return result;
        },
      },
    }) as Store;
    await assert.rejects(deletePrefix(failing, 'a/'), /the disk is full/);
    assert.equal(settled, 9);
    assert.equal(await store.count('a/'), 1);
  });
});
