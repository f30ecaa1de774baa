import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ENTRY_BYTES, sizeOf } from '../../../src/store/memory/entry-size.ts';
import type { FileStore } from '../../../src/store/file/file-store.ts';
import { openBroker } from '../../../src/broker/broker.ts';
import { tempDir } from '../../support/temp.ts';
import { openIn, put, remove } from '../support.ts';

const NAME = 'n0';
/** What an entry counts whose data is a string of this length: `"n0"`, `{"_str":"…"}`, and itself. */
const counts = (length: number): number => ENTRY_BYTES + NAME.length + 2 + '{"_str":""}'.length + length;

const full = (total: number, added: number, limit: number): { code: string; message: RegExp } => ({
  code: 'storage_full',
  message: new RegExp(
    `counts ${total} bytes, this would add ${added}, and '_store.max_bytes' allows ${limit};`,
  ),
});

function usage(store: FileStore): number {
  return store.health().usage?.bytes ?? Number.NaN;
}

describe('a registry with a limit', () => {
  it('refuses what would take it over the limit, and takes what fits to the byte', async () => {
    const maxBytes = 3 * counts(100);
    const store = await openIn(tempDir(), { maxBytes });
    await store.mutate('n0', put('x'.repeat(100)));
    await store.mutate('n1', put('x'.repeat(100)));
    assert.equal(usage(store), 2 * counts(100));
    const added = counts(101);
    await assert.rejects(store.mutate('n2', put('x'.repeat(101))), full(2 * counts(100), added, maxBytes));
    assert.equal(await store.get('n2'), undefined);
    await store.mutate('n2', put('x'.repeat(100)));
    assert.equal(usage(store), maxBytes);
    assert.deepEqual(store.health(), { writable: true, usage: { bytes: maxBytes, maxBytes } });
    await assert.rejects(store.mutate('n2', put('x'.repeat(101))), full(maxBytes, 1, maxBytes));
    await store.close();
  });

  it('takes writes that make nothing larger, and deletes, also above the limit', async () => {
    const dir = tempDir();
    const before = await openIn(dir);
    for (let i = 0; i < 4; i++) await before.mutate(`n${i}`, put('x'.repeat(100)));
    await before.close();
    const store = await openIn(dir, { maxBytes: 10 });
    assert.equal(usage(store), 4 * counts(100));
    await store.mutate('n0', put('y'.repeat(100)));
    await store.mutate('n0', put('y'.repeat(50)));
    await assert.rejects(store.mutate('n0', put('y'.repeat(51))), { code: 'storage_full' });
    for (let i = 0; i < 4; i++) await store.mutate(`n${i}`, remove);
    assert.equal(usage(store), 0);
    await store.close();
  });

  it('counts writes that are not durable yet, and none that was refused', async () => {
    const maxBytes = 10 * counts(100);
    const store = await openIn(tempDir(), { maxBytes });
    const writes = Array.from({ length: 25 }, (_, i) => store.mutate(`n${i % 10}`, put('x'.repeat(100))));
    // Ten entries, written anew while their first states are under way; one more is too many.
    const over = assert.rejects(store.mutate('na', put('')), { code: 'storage_full' });
    await Promise.all(writes);
    await over;
    assert.equal(usage(store), maxBytes);
    const swap = [store.mutate('n1', remove), store.mutate('n1', put('x'.repeat(100)))];
    await Promise.all(swap);
    assert.equal(usage(store), maxBytes);
    await store.close();
  });

  it('counts the same after every way of being read again', async () => {
    const dir = tempDir();
    const store = await openIn(dir);
    const texts = ['', 'né 𝄞', '"\\\n', 'x'.repeat(9000)];
    const datas = [...texts, {}, { 10: 1, b: { c: [1, 'é'] } }];
    for (const [i, data] of datas.entries())
      await store.mutate(`n${i}é"`, put(data, i % 2 ? 60_000 : undefined));
    const entries = (await store.list()).entries;
    const expected = entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
    await store.close();
    const fromFile = await openIn(dir, { maxBytes: 1e9 });
    assert.equal(usage(fromFile), expected);
    await fromFile.mutate('later', put('x'));
    await fromFile.mutate('later', remove);
    assert.equal(usage(fromFile), expected);
    await fromFile.close();
  });

  it('is shown by /readyz, with a warning from 80 % on', async () => {
    const config = { _store: { max_bytes: 10 * counts(100) } };
    const broker = await openBroker({ file: path.join(tempDir(), 'bpbroker.json'), config });
    const found = async (): Promise<Record<string, unknown>> => {
      const body = (await (await broker.app.request('/readyz')).json()) as {
        checks: Record<string, Record<string, unknown>>;
      };
      return body.checks['registry'] ?? {};
    };
    for (let i = 0; i < 7; i++) await broker.store.mutate(`n${i}`, put('x'.repeat(100)));
    const max_bytes = 10 * counts(100);
    assert.deepEqual(await found(), { ok: true, bytes: 7 * counts(100), max_bytes });
    await broker.store.mutate('n7', put('x'.repeat(100)));
    const { ok, warning } = await found();
    assert.equal(ok, true);
    assert.match(String(warning), /80 % of '_store\.max_bytes'/);
    await broker.close();
  });
});
