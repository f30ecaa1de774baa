import assert from 'node:assert/strict';
import { it } from 'node:test';
import { waitFor } from '../support/wait.ts';
import { answerOf, call, KEY, post, type Target, watch } from './target.ts';

/** What takes its time: long polls, and watches. */
export function waits(find: () => Target): void {
  longPolls(find);
  watches(find);
}

function longPolls(find: () => Target): void {
  it('answers a wait at once for what exists, and at its end for what does not', async () => {
    const target = find();
    await call(target, 'Replace', { name: 'wait/there', data: 'x' });
    assert.equal((await call(target, 'Get', { name: 'wait/there', wait: '30s' })).status, 200);
    const started = performance.now();
    const none = await call(target, 'Get', { name: 'wait/none', wait: '400ms' });
    assert.deepEqual([none.status, none.code], [404, 'not_found']);
    assert.ok(performance.now() - started >= 390, 'it waited');
  });

  it('releases waits by the write of another request, or where there can be none, by their time', async () => {
    const target = find();
    const { concurrent } = target.can;
    const wait = concurrent ? '30s' : '300ms';
    const polls = [1, 2, 3].map(() => call(target, 'Get', { name: 'wait/soon', wait }));
    const barrier = call(target, 'List', { prefix: 'wait/all/', wait_count: 2, wait });
    const open = Promise.all([...polls, barrier]);
    const last = ['wait/soon', 'wait/all/1', 'wait/all/2'];
    for (const name of last) await call(target, 'Replace', { name, data: 'now' });
    const [one, two, three, all] = await open;
    const found = [one, two, three].map((answer) => answer?.data?.['_str']);
    // A platform that hands on one request at a time has let the waits end before it took the writes.
    assert.deepEqual(found, concurrent ? ['now', 'now', 'now'] : [undefined, undefined, undefined]);
    assert.equal(all?.data?.['count'], concurrent ? 2 : 0);
  });
}

function watches(find: () => Target): void {
  it('streams changes and resumes after the last one seen, or refuses where it cannot stream', async () => {
    const target = find();
    const { stream, concurrent } = target.can;
    if (!stream) {
      const refused = await answerOf(await post(target, '/services/Watch', { prefix: 'watch/' }));
      assert.deepEqual([refused.status, refused.code], [400, 'invalid_request']);
      assert.match(refused.message ?? '', /cannot watch/);
      return;
    }
    const { revision: before = 0 } = await call(target, 'Replace', { name: 'watch/0', data: 'x' });
    // Where it can be, the changes come while the watch is open; else they are the backlog that it begins with.
    const change = async (n: number): Promise<number> =>
      (await call(target, 'Replace', { name: `watch/${n}`, data: { n } })).revision ?? 0;
    const made = concurrent ? [] : [await change(1), await change(2)];
    const first = await watch(target, `prefix=watch/&after=${before}`);
    assert.equal((await first.take(1))[0]?.type, 'watching');
    if (concurrent) made.push(await change(1), await change(2));
    const seen = await first.take(2);
    assert.deepEqual(
      seen.map(({ type, name, id }) => [type, name, Number(id)]),
      made.map((revision, n) => ['put', `watch/${n + 1}`, revision]),
    );
    await first.leave();

    const missed = await change(3);
    await call(target, 'Replace', { name: 'other/4', data: '' });
    await call(target, 'Delete', { name: 'watch/1' });
    const again = await watch(target, 'prefix=watch/', { 'last-event-id': seen[0]?.id ?? '' });
    const events = await again.take(4);
    assert.deepEqual(
      events.map(({ type, name }) => `${type} ${name}`),
      ['watching ', 'put watch/2', 'put watch/3', 'delete watch/1'],
    );
    assert.equal(Number(events[2]?.id), missed);
    await again.leave();
  });

  it('reports the end of a lifetime to a watch, without a request that looks', async () => {
    const target = find();
    if (!target.can.stream) return;
    const { revision = 0 } = await call(target, 'Replace', { name: 'brief/1', data: '', ttl: '300ms' });
    const open = await watch(target, `prefix=brief/&after=${revision}`);
    const [, ended] = await open.take(2);
    assert.deepEqual([ended?.type, ended?.name], ['expire', 'brief/1']);
    await open.leave();
  });

  it('lets go of a watch whose reader has gone', async () => {
    const target = find();
    if (!target.can.stream || !target.can.concurrent) return;
    const headers = { authorization: `Bearer ${KEY}` };
    // One key may have 64 open at a time.
    for (let n = 0; n < 70; n++) {
      await waitFor('a place for one more', async () => {
        const going = new AbortController();
        const { signal } = going;
        const { status, body } = await target.fetch('/services/Watch?prefix=gone/', { headers, signal });
        const reader = body?.getReader();
        await reader?.read();
        going.abort();
        await reader?.cancel().catch(() => undefined);
        // Some servers notice at the next event that nobody reads.
        if (status === 429) await call(target, 'Replace', { name: 'gone/1', data: '' });
        return status === 200;
      });
    }
  });
}
