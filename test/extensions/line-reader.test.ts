import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLineReader } from '../../src/extensions/executables/line-reader.ts';

const MARK = '\u0002abc ';

function reader(maxBytes = 1000): { read(text: string): void; end(): void; seen: string[] } {
  const seen: string[] = [];
  const { read, end } = createLineReader(MARK, maxBytes, {
    onFrame: (frame) => seen.push(`frame ${JSON.stringify(frame)}`),
    onText: (bytes) => seen.push(`text ${Buffer.from(bytes).toString()}`),
    onBroken: () => seen.push('broken'),
    onOverflow: (bytes) => seen.push(`overflow ${Buffer.from(bytes).toString()}`),
  });
  return { read: (text) => read(Buffer.from(text)), end, seen };
}

describe('createLineReader()', () => {
  it('tells frames from what is printed among them', () => {
    const { read, seen } = reader();
    read(`hello\n${MARK}{"type":"ready"}\n{"type":"ready"}\n`);
    assert.deepEqual(seen, ['text hello\n', 'frame {"type":"ready"}', 'text {"type":"ready"}\n']);
  });

  it('puts together what comes in pieces, cut anywhere', () => {
    const text = `é printed\n${MARK}{"type":"end","id":1}\n`;
    const bytes = Buffer.from(text);
    for (let cut = 1; cut < bytes.length; cut++) {
      const seen: string[] = [];
      const { read } = createLineReader(MARK, 1000, {
        onFrame: (frame) => seen.push(frame.type),
        onText: (part) => seen.push(Buffer.from(part).toString()),
        onBroken: () => assert.fail(),
        onOverflow: () => assert.fail(),
      });
      read(bytes.subarray(0, cut));
      read(bytes.subarray(cut));
      assert.deepEqual(seen, ['é printed\n', 'end'], `cut at ${cut}`);
    }
  });

  it('hands on all lines before the next frame at once, so that short ones cost no more than long ones', () => {
    const { read, seen } = reader();
    const many = '\n'.repeat(500);
    read(`${many}a\nb\n${MARK}{"type":"ready"}\n${many}${MARK}{"type":"ready"}\n${many}half`);
    const frame = 'frame {"type":"ready"}';
    assert.deepEqual(seen, [`text ${many}a\nb\n`, frame, `text ${many}`, frame, `text ${many}`]);
    read(' of it\nand\nmore\n');
    assert.deepEqual(seen.slice(5), ['text half of it\n', 'text and\nmore\n']);
  });

  it('finds a frame behind text that was printed without a newline', () => {
    const { read, seen } = reader();
    read(`no newline${MARK}{"type":"ready"}\n`);
    assert.deepEqual(seen, ['text no newline\n', 'frame {"type":"ready"}']);
  });

  it('says when a line with the mark is no frame', () => {
    const { read, seen } = reader();
    read(`${MARK}{"type":\n${MARK}7\n`);
    assert.deepEqual(seen, ['broken', 'broken']);
  });

  it('says when a line grows past the limit, and keeps nothing of it', () => {
    const { read, end, seen } = reader(10);
    read('0123456789');
    assert.deepEqual(seen, []);
    read('0');
    assert.deepEqual(seen, ['overflow 01234567890']);
    end();
    assert.deepEqual(seen.length, 1);
  });

  it('takes a last line that has no end for text', () => {
    const { read, end, seen } = reader();
    read('one\ntw');
    read('o');
    end();
    end();
    assert.deepEqual(seen, ['text one\n', 'text two']);
  });
});
