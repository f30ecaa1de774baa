import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ApiError, type BrokerApi, type ListPage, type PageEntry } from '../../src/page/api/broker-api.ts';
import { createEntryTree, type EntryTree } from '../../src/page/registry/entry-tree.ts';
import { createRegistryFeed, type RegistryFeed } from '../../src/page/registry/registry-feed.ts';
import { waitFor } from '../support/wait.ts';

const entry = (name: string, revision: number): PageEntry => ({
  name,
  revision,
  data: '',
  writtenAt: 0,
  writtenBy: '',
  ttl: 5,
});

interface Page {
  readonly feed: RegistryFeed;
  readonly tree: EntryTree;
  /** Sends an event of the watch. */
  send(type: string, data: object): void;
}

/** A page that has read the registry, and whose watch is open. */
async function livePage(api: Partial<BrokerApi>): Promise<Page> {
  let watch: ReadableStreamDefaultController<Uint8Array> | undefined;
  let isLive = false;
  const tree = createEntryTree();
  const nothing = (): void => undefined;
  const body = new ReadableStream<Uint8Array>({ start: (controller) => void (watch = controller) });
  const feed = createRegistryFeed({
    api: { watch: () => Promise.resolve(body), ...api } as BrokerApi,
    tree,
    now: () => 0,
    onState: ({ kind }) => (isLive = kind === 'live'),
    onTree: nothing,
    onChange: nothing,
  });
  const send = (type: string, data: object): void =>
    watch?.enqueue(
      new TextEncoder().encode(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`),
    );
  feed.start();
  send('watching', { revision: 1 });
  await waitFor('the feed', () => isLive);
  return { feed, tree, send };
}

const listOf = (...entries: PageEntry[]): Pick<BrokerApi, 'list'> => ({
  list: (): Promise<ListPage> => Promise.resolve({ entries, count: entries.length, revision: 1 }),
});

describe('an entry of the status page whose lifetime ends while it is read again', () => {
  it('stays away where the feed told of its end before the answer came', async () => {
    let answer = (_entry: PageEntry): void => assert.fail('not asked yet');
    const get = (): Promise<PageEntry> => new Promise((resolve) => (answer = resolve));
    const { feed, tree, send } = await livePage({ ...listOf(entry('a', 1)), get });
    const reading = feed.refresh(['a']);
    send('expire', { name: 'a', revision: 2 });
    await waitFor('its end', () => tree.size === 0);
    answer(entry('a', 1));
    await reading;
    assert.equal(tree.size, 0);
  });

  it('goes where the answer is that there is none, unless it was written meanwhile', async () => {
    let refuse = (_error: Error): void => assert.fail('not asked yet');
    const get = (): Promise<PageEntry> => new Promise((_resolve, reject) => (refuse = reject));
    const { feed, tree, send } = await livePage({ ...listOf(entry('a', 1), entry('b', 1)), get });
    const gone = feed.refresh(['a']);
    refuse(new ApiError('none', 404, 'not_found'));
    await gone;
    assert.deepEqual(tree.names(), ['b']);
    const replaced = feed.refresh(['b']);
    send('put', { name: 'b', revision: 3, data: 'new' });
    await waitFor('the write', () => tree.get('b')?.revision === 3);
    refuse(new ApiError('none', 404, 'not_found'));
    await replaced;
    assert.deepEqual(tree.names(), ['b']);
  });
});

describe('the count of a registry that the status page does not hold whole', () => {
  it('is that of the broker, also after an entry that it holds has ended', async () => {
    let count = 50_000;
    const list = ({ after = '0' }): Promise<ListPage> => {
      const from = Number(after);
      const entries = Array.from({ length: 1000 }, (_, i) => entry(`n/${from + i}`, 1));
      return Promise.resolve({ entries, count, next: String(from + 1000), revision: 1 });
    };
    const { feed, tree, send } = await livePage({ list, count: () => Promise.resolve(count) });
    assert.deepEqual([tree.size, feed.count, feed.isPartial], [20_000, 50_000, true]);
    send('expire', { name: 'n/7', revision: 2 });
    await waitFor('its end', () => tree.size === 19_999);
    assert.deepEqual([feed.count, feed.isPartial], [50_000, true]);
    count = 49_999;
    await feed.refresh([]);
    assert.deepEqual([feed.count, feed.isPartial], [49_999, true]);
  });

  it('is its own where it holds all', async () => {
    const { feed, send } = await livePage(listOf(entry('a', 1), entry('b', 1)));
    send('delete', { name: 'a', revision: 2 });
    await waitFor('the deletion', () => feed.count === 1);
    await feed.refresh([]);
    assert.deepEqual([feed.count, feed.isPartial], [1, false]);
  });
});
