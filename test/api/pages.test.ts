import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createPageText, pageReply } from '../../src/modules/services/page-text.ts';
import type { JsonObject } from '../../src/protocol/formats/data.ts';
import { type Asked, openApp } from '../broker/support.ts';

interface Listed {
  readonly entries: readonly { readonly name: string; readonly data: JsonObject }[];
  readonly count: number;
  readonly next?: string;
}

const MIB = 1024 * 1024;

describe('row "unread answers": a page of a list', () => {
  let asked: Asked;
  const page = async (query: string): Promise<Listed> =>
    (await asked.send(`/services/List?${query}`)).body['data'] as unknown as Listed;

  before(async () => {
    asked = await openApp({});
    for (let i = 10; i < 30; i++)
      await asked.post('/services/Replace', JSON.stringify({ name: `big ${i}`, data: 'ü'.repeat(480_000) }));
    for (let i = 1000; i < 2500; i++)
      await asked.post('/services/Replace', JSON.stringify({ name: `small ${i}`, data: { i } }));
  });
  after(() => asked.broker.close());

  it('has at most 8 MiB, and the pages together have every entry once, in order', async () => {
    const names: string[] = [];
    let after_ = '';
    for (let pages = 0; pages < 5; pages++) {
      const { entries, count, next } = await page(`prefix=big&after=${encodeURIComponent(after_)}`);
      assert.equal(count, 20);
      assert.ok(Buffer.byteLength(JSON.stringify(entries)) <= 8 * MIB);
      names.push(...entries.map(({ name }) => name));
      if (next === undefined) break;
      assert.equal(next, names.at(-1));
      after_ = next;
    }
    assert.deepEqual(
      names,
      Array.from({ length: 20 }, (_, i) => `big ${i + 10}`),
    );
  });

  it('has at most 1,000 entries, and is valid JSON whether it is made at once or while it is read', async () => {
    const first = await page('prefix=small');
    assert.deepEqual([first.entries.length, first.count, first.next], [1000, 1500, 'small 1999']);
    const short = await page('prefix=small&limit=3');
    assert.deepEqual(
      short.entries.map(({ data }) => data['i']),
      [1000, 1001, 1002],
    );
    const rest = await page('prefix=small&after=small+1999');
    assert.deepEqual([rest.entries.length, rest.next], [500, undefined]);
    const none = await asked.send('/services/List?prefix=none');
    const { revision } = asked.broker.store;
    assert.deepEqual(none.body, {
      success: true,
      message: 'Success',
      data: { entries: [], count: 0 },
      revision,
    });
  });

  it('has at least one entry, however long it is', async () => {
    const entry = (name: string) => ({
      name,
      data: { x: 'y' },
      lastWriteTs: 0,
      lastWriteIp: '',
      revision: 1,
    });
    const { body } = pageReply(createPageText({ entries: [entry('a'), entry('b')], revision: 1 }, 2, 10));
    const { data } = JSON.parse(new TextDecoder().decode(body as Uint8Array)) as { data: Listed };
    assert.deepEqual([data.entries.map(({ name }) => name), data.next], [['a'], 'a']);
  });
});
