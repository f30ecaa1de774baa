import assert from 'node:assert/strict';
import { afterEach, describe, it, mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createApp } from '../../src/api/create-app.ts';
import type { ClientChange } from '../../src/client/registry/answers.ts';
import { type BrokerClient, connect } from '../../src/client/client.ts';
import type { BrokerError } from '../../src/protocol/errors.ts';
import { waitFor } from '../support/wait.ts';
import { memoryStore, type MemoryStoreOptions } from '../../src/store/memory/memory-store.ts';

/** A client of an app in this process; `beforePage` runs before each page of a list but the first is read. */
async function open(
  options: MemoryStoreOptions = {},
  beforePage: (client: BrokerClient) => Promise<void> = async () => undefined,
): Promise<BrokerClient> {
  const app = createApp({ store: memoryStore(options) });
  const client: BrokerClient = await connect({
    broker: 'https://app.test',
    fetch: async (...args) => {
      const request = new Request(...args);
      const isPage = request.url.endsWith('/services/List');
      if (isPage && 'after' in ((await request.clone().json()) as object)) await beforePage(client);
      return app.fetch(request);
    },
  });
  return client;
}

const name = (n: number): string => `n/${String(n).padStart(4, '0')}`;

async function take(
  changes: AsyncIterable<ClientChange>,
  until: (change: ClientChange) => boolean,
): Promise<ClientChange[]> {
  const taken: ClientChange[] = [];
  for await (const change of changes) {
    taken.push(change);
    if (until(change)) break;
  }
  return taken;
}

const isLast = (change: ClientChange): boolean => change.type === 'put' && change.name === 'n/last';
const keyOf = (change: ClientChange): string =>
  `${change.type} ${change.type === 'reset' ? '' : change.name} ${change.revision}`;

describe('watch({ initial })', () => {
  it('reports what exists and then each change, none missing and none twice, also of what is written meanwhile', async () => {
    let writes = 0;
    const client = await open({}, async (own) => {
      if (writes === 2) return;
      // On a page that has been read, on one that has not, a new one, and one that goes before it is read.
      await own.replace(name(3), `again ${writes}`);
      await own.replace(name(2300), `again ${writes}`);
      await own.register(`n/new ${writes}`, 'x');
      if (writes++ === 0) await own.delete(name(2200));
    });
    for (let n = 0; n < 2500; n++) await client.register(name(n), 'x');
    const watched = take(client.watch({ prefix: 'n/', initial: true }), isLast);
    await waitFor('the last page', () => writes === 2);
    await client.register('n/last', 'x');
    const changes = await watched;

    const revisions = changes.map(({ revision }) => revision);
    assert.deepEqual(
      revisions,
      revisions.toSorted((a, b) => a - b),
      'in the order of revisions',
    );
    assert.equal(new Set(revisions).size, revisions.length, 'each once');
    const shown = new Map<string, unknown>();
    for (const change of changes) {
      if (change.type === 'put') shown.set(change.name, change.data);
      else if (change.type !== 'reset') shown.delete(change.name);
    }
    const { entries } = await client.list('n/');
    const actual = new Map(entries.map((entry) => [entry.name, entry.data]));
    assert.deepEqual(shown, actual);
  });

  it('begins with the entry alone where it watches a name, and with nothing where it does not exist', async () => {
    const client = await open();
    await client.register('n', 'one');
    await client.register('n/2', 'two');
    const [first] = await take(client.watch({ name: 'n', initial: true, count: 1 }), () => false);
    assert.deepEqual([first?.type, first?.revision], ['put', 1]);
    const later = take(client.watch({ name: 'm', initial: true, count: 1 }), () => false);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await client.register('m', 'now');
    assert.deepEqual((await later).map(keyOf), ['put m 3']);
  });

  it('is refused together with after', async () => {
    const client = await open();
    await assert.rejects(
      take(client.watch({ initial: true, after: 3 }), () => true),
      (error: BrokerError) => error.code === 'usage' && /'initial' or 'after', not both/.test(error.message),
    );
  });
});

describe('watch({ count })', () => {
  it('ends after so many changes; a reset is none', async () => {
    const client = await open({ historyChanges: 2 });
    for (let n = 0; n < 5; n++) await client.register(name(n), 'x');
    const after = await take(client.watch({ after: 3, count: 2 }), () => false);
    assert.deepEqual(after.map(keyOf), ['put n/0003 4', 'put n/0004 5']);
    const reset = await take(client.watch({ after: 1, count: 2 }), () => false);
    assert.deepEqual(reset.map(keyOf), ['reset  5', 'put n/0000 1', 'put n/0001 2']);
  });

  it('is a whole number above 0', async () => {
    const client = await open();
    for (const count of [0, -1, 1.5, Number.NaN])
      await assert.rejects(
        take(client.watch({ count }), () => true),
        (error: BrokerError) => error.code === 'usage' && error.message.includes(`'count' is ${count}`),
      );
  });
});

describe('a client', () => {
  it('reads the keys of data as they are, also those with an escape: in a list, alone and in a watch', async () => {
    const client = await open();
    const given = [
      ['q', '\\'],
      ['q', '\n'],
    ] as const;
    for (const [i, keys] of given.entries())
      await client.replace(`n/${i}`, Object.fromEntries(keys.map((key) => [key, 1])));
    await client.replace('n/last', 'x');
    const keysOf = (data: unknown): string[] => Object.keys(data as object);
    const { entries } = await client.list('n/');
    assert.deepEqual(
      entries.slice(0, 2).map(({ data }) => keysOf(data)),
      given,
    );
    assert.deepEqual(keysOf((await client.get('n/1')).data), given[1]);
    const changes = await take(client.watch({ prefix: 'n/', after: 0 }), isLast);
    assert.deepEqual(
      changes.slice(0, 2).map((change) => keysOf('data' in change ? change.data : {})),
      given,
    );
  });
});

describe('a watch that its broker ends with an error', () => {
  it('goes on after the last change that was read, none missing, none twice, and the error is no change', async () => {
    // A reader that is not there at once is behind.
    const client = await open({ watchBytes: 1 });
    await client.register('n/first', 'x');
    const seen: ClientChange[] = [];
    const watched = (async () => {
      for await (const change of client.watch({ prefix: 'n/', after: 0 })) {
        seen.push(change);
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (isLast(change)) return;
      }
    })();
    await waitFor('the first', () => seen.length > 0);
    for (let n = 0; n < 8; n++) await client.replace(name(n), 'x');
    await client.register('n/last', 'x');
    await watched;
    assert.deepEqual(
      seen.map(({ type, revision }) => [type, revision]),
      Array.from({ length: 10 }, (_, n) => ['put', n + 1]),
    );
  });

  it('does not report events that this client does not know', async () => {
    const events = [
      'watching\ndata: {"type":"watching","revision":1}',
      'hint\ndata: {"type":"hint","revision":9}',
      'put\ndata: {"type":"put","name":"n/last","revision":2,"data":"x"}',
    ];
    const client = await connect({
      broker: 'https://app.test',
      fetch({ url }) {
        if (url.endsWith('/identity')) return Response.json({ id: 'x' });
        const body = events.map((event) => `event: ${event}\n\n`).join('');
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
      },
    });
    const changes = await take(client.watch(), isLast);
    assert.deepEqual(changes.map(keyOf), ['put n/last 2']);
  });
});

describe('a watch that its broker answers but cannot open', () => {
  afterEach(() => mock.timers.reset());

  it('is asked for less and less often', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    // As a broker before this version sends them: the data of the error has no type.
    const events = ['watching\ndata: {"type":"watching","revision":1}', 'error\ndata: {"message":"moved"}'];
    let opened = 0;
    const client = await connect({
      broker: 'https://app.test',
      fetch({ url }) {
        if (url.endsWith('/identity')) return Response.json({ id: 'x' });
        opened += 1;
        const body = events.map((event) => `event: ${event}\n\n`).join('');
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
      },
    });
    const given = new AbortController();
    const watching = client.watch({ signal: given.signal }).next();
    for (let passed = 0; passed < 10_000; passed += 50) {
      for (let turns = 0; turns < 5; turns++) await turn();
      mock.timers.tick(50);
    }
    assert.ok(opened > 4 && opened < 20, `${opened} times in 10 s`);
    given.abort();
    assert.deepEqual(await watching, { done: true, value: undefined });
  });
});
