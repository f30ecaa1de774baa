import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Entry } from '../../../src/protocol/registry/entry.ts';
import { readJournal } from '../../../src/store/file/journal/frames.ts';
import { tempDir } from '../../support/temp.ts';
import { crashedImage, scratch, SPARES, tryOpen } from './damage-support.ts';
import { contentOf, journalsIn, openIn, put } from '../support.ts';

const long = process.env['BPBROKER_LONG'] === '1';

describe('one byte changed on the disk', () => {
  it('anywhere in the frames of a journal is refused with its offset, in the last record too', async () => {
    const { files, journal } = await crashedImage(long ? 60 : 30, long ? 90 : 50);
    const whole = files[journal] ?? '';
    const place = scratch();
    place.reset(files);
    for (let at = 0; at < whole.length; at++) {
      for (const mask of long ? [1, 2, 4, 8, 16, 32, 64, 128, 255] : [1 << (at % 8)]) {
        const flipped = String.fromCharCode(whole.charCodeAt(at) ^ mask);
        const spare = SPARES[at % 2];
        place.reset({ ...files, [journal]: whole.slice(0, at) + flipped + whole.slice(at + 1) + spare });
        const opened = await tryOpen(place.dir);
        assert.ok('refusal' in opened, `byte ${at} was changed unnoticed`);
        const offset = Number(/byte offset (\d+)/.exec(opened.refusal)?.[1]);
        assert.ok(offset <= at && !whole.slice(offset, at).includes('\n'), `byte ${at}: ${opened.refusal}`);
      }
    }
  });

  it('anywhere in a journal that lies before the file costs watches their history, and nothing else', async () => {
    const { files, journal, after } = await crashedImage(4, 5);
    const earlier = Object.keys(files).find((name) => name.includes('.journal.') && name !== journal) ?? '';
    const whole = files[earlier] ?? '';
    assert.ok(whole.length > 100);
    const place = scratch();
    const damaged = Array.from(
      whole,
      (char, at) => whole.slice(0, at) + String.fromCharCode(char.charCodeAt(0) ^ 1) + whole.slice(at + 1),
    );
    for (const content of [...damaged, whole.slice(0, -1), '']) {
      place.reset({ ...files, [earlier]: content });
      const opened = await tryOpen(place.dir);
      assert.ok('entries' in opened, JSON.stringify(opened));
      assert.deepEqual(opened.entries, after);
      assert.match(opened.warnings.join(' '), /No entry depends on it: it was renamed to .*damaged-1/);
      assert.equal(readFileSync(path.join(place.dir, `${earlier}.damaged-1`), 'latin1'), content);
    }
  });

  it('in a journal that the file was written after, once it is clean, does not stop a start', async () => {
    const dir = tempDir();
    const store = await openIn(dir);
    await store.mutate('a', put('1'));
    await store.close();
    const [journal = ''] = journalsIn(dir);
    const bytes = readFileSync(journal);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 5) ^ 1, bytes.length - 5);
    writeFileSync(journal, bytes);
    const again = await openIn(dir);
    const watch = again.watch({ after: 0 });
    assert.deepEqual((await watch.next()).value, { type: 'reset', revision: 1 });
    await watch.return?.();
    assert.equal((await again.get('a'))?.data['_str'], '1');
    await again.close();
  });

  it('anywhere in the file makes no wrong entry', async () => {
    const { files, after } = await crashedImage(long ? 30 : 8, long ? 60 : 10);
    const dir = tempDir();
    // A clean end, so that the file holds everything; the journal beside it stays, as it always does.
    for (const [name, content] of Object.entries(files))
      writeFileSync(path.join(dir, name), content, 'latin1');
    await (await openIn(dir)).close();
    const clean = contentOf(dir);
    const whole = clean['bpbroker.json'] ?? '';
    const place = scratch();
    const withoutRevision = (entries: readonly Entry[]): unknown =>
      entries.map((entry) => ({ ...entry, revision: 0 }));
    let refused = 0;
    for (let at = 0; at < whole.length; at++) {
      for (const mask of long ? [1, 2, 4, 8, 16, 32, 64, 128] : [1 << (at % 7)]) {
        const flipped = String.fromCharCode(whole.charCodeAt(at) ^ mask);
        place.reset({ ...clean, 'bpbroker.json': whole.slice(0, at) + flipped + whole.slice(at + 1) });
        const opened = await tryOpen(place.dir);
        if ('refusal' in opened) {
          refused++;
          continue;
        }
        // The key `checksum` itself may be hit: then the entries count as accepted, and they are the right ones.
        assert.deepEqual(withoutRevision(opened.entries), withoutRevision(after), `byte ${at} mask ${mask}`);
      }
    }
    assert.ok(refused > whole.length / 2, `${refused} of ${whole.length}`);
  });
});

describe('whole records of a journal', () => {
  it('missing, repeated or in another order are refused with their offset', async () => {
    const { files, journal } = await crashedImage(8, 4);
    const whole = files[journal] ?? '';
    const lines = whole.split('\n');
    const [header = '', first = '', second = '', ...rest] = lines;
    const orders = {
      missing: [header, second, ...rest],
      repeated: [header, first, first, second, ...rest],
      swapped: [header, second, first, ...rest],
      'missing in the middle': [header, first, ...rest],
    };
    const place = scratch();
    for (const [what, order] of Object.entries(orders)) {
      place.reset({ ...files, [journal]: order.join('\n') });
      const opened = await tryOpen(place.dir);
      assert.match(
        'refusal' in opened ? opened.refusal : '',
        /byte offset \d+ is not that of revision/,
        what,
      );
    }
  });

  it('of another journal are not taken', async () => {
    const { files, journal } = await crashedImage(4, 4);
    const other = await crashedImage(4, 4);
    const foreign = (other.files[other.journal] ?? '').split('\n').at(-2) ?? '';
    const place = scratch();
    const lines = (files[journal] ?? '').split('\n');
    place.reset({ ...files, [journal]: [...lines.slice(0, -2), foreign, ''].join('\n') });
    const opened = await tryOpen(place.dir);
    assert.match('refusal' in opened ? opened.refusal : '', /damaged at byte offset/);
  });
});

describe('a journal mutated at random', () => {
  it('opens with a state it had, or is refused, and never fails in another way', async () => {
    const { files, journal } = await crashedImage(12, 8);
    const frames = Buffer.from(files[journal] ?? '', 'latin1');
    const states = await statesOf(files, journal, frames);
    const whole = Buffer.concat([frames, Buffer.alloc(700)]);
    const place = scratch();
    const position = fc.nat({ max: whole.length });
    const mutation = fc.oneof(
      fc.record({
        op: fc.constant('insert' as const),
        at: position,
        bytes: fc.uint8Array({ maxLength: 40 }),
      }),
      fc.record({ op: fc.constant('erase' as const), at: position, length: fc.nat({ max: 300 }) }),
      fc.record({
        op: fc.constant('copy' as const),
        at: position,
        from: position,
        length: fc.nat({ max: 300 }),
      }),
      fc.record({ op: fc.constant('zero' as const), at: position, length: fc.nat({ max: 300 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
        let bytes: Buffer = whole;
        for (const step of mutations) bytes = mutate(bytes, step);
        place.reset({ ...files, [journal]: bytes.toString('latin1') });
        const opened = await tryOpen(place.dir);
        if ('refusal' in opened) return;
        assert.ok(states.has(JSON.stringify(opened.entries)), 'a state that never was');
      }),
      { numRuns: long ? 100_000 : 400, ...(long ? {} : { seed: 42 }) },
    );
  });
});

/** The registry's states after each commit of the journal, as JSON. */
async function statesOf(files: Record<string, string>, journal: string, whole: Buffer): Promise<Set<string>> {
  const states = new Set<string>();
  const place = scratch();
  const text = readJournal(whole);
  assert.ok(text);
  for (const end of [...text.frames.map((frame) => frame.offset), whole.length]) {
    place.reset({ ...files, [journal]: whole.toString('latin1', 0, end) });
    const opened = await tryOpen(place.dir);
    assert.ok('entries' in opened);
    states.add(JSON.stringify(opened.entries));
  }
  return states;
}

interface Step {
  readonly op: 'insert' | 'erase' | 'copy' | 'zero';
  readonly at: number;
  readonly from?: number;
  readonly length?: number;
  readonly bytes?: Uint8Array;
}

function mutate(whole: Buffer, { op, at, from = 0, length = 0, bytes = new Uint8Array() }: Step): Buffer {
  const head = whole.subarray(0, at);
  if (op === 'insert') return Buffer.concat([head, bytes, whole.subarray(at)]);
  if (op === 'copy') return Buffer.concat([head, whole.subarray(from, from + length), whole.subarray(at)]);
  const between = op === 'zero' ? Buffer.alloc(length) : Buffer.alloc(0);
  return Buffer.concat([head, between, whole.subarray(at + length)]);
}
