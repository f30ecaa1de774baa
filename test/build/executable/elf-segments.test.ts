import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { buildExecutable } from '../../../build/executable.ts';
import { alignFile, alignSegments, HUGE_PAGE, segmentsOf } from '../../../build/executable/elf-segments.ts';
import { run } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';

const PAGE = 4096;

/** A file of segments, each with its first byte, its address, and what is in it: the least that is an ELF executable. */
function elf(
  segments: readonly { readonly offset: number; readonly address: number; readonly content: string }[],
): Buffer {
  const sections = segments.length;
  const end = Math.max(...segments.map(({ offset, content }) => offset + content.length));
  const file = Buffer.alloc(end + sections * 64);
  segments.forEach(({ offset, content }) => file.write(content, offset, 'latin1'));
  Buffer.from('7f454c460201', 'hex').copy(file);
  file.writeUInt16LE(2, 16);
  const numbers: [number, number][] = [
    [32, 64],
    [40, end],
  ];
  file.writeUInt16LE(segments.length, 56);
  file.writeUInt16LE(sections, 60);
  segments.forEach(({ offset, address, content }, i) => {
    file.writeUInt32LE(1, 64 + i * 56);
    numbers.push(
      [72 + i * 56, offset],
      [80 + i * 56, address],
      [96 + i * 56, content.length],
      [end + i * 64 + 24, offset],
    );
  });
  for (const [at, value] of numbers) file.writeBigUInt64LE(BigInt(value), at);
  return file;
}

function contents(file: Buffer): string[] {
  return segmentsOf(file).map(({ offset, bytes }) =>
    file.subarray(offset, offset + bytes).toString('latin1'),
  );
}

/** Where the sections are said to be. */
function sectionOffsets(file: Buffer): bigint[] {
  const at = Number(file.readBigUInt64LE(40));
  return Array.from({ length: file.readUInt16LE(60) }, (_, i) => file.readBigUInt64LE(at + i * 64 + 24));
}

describe('alignSegments()', () => {
  // The second one shares a page of the file with the first, as linkers lay them out.
  const layout = [
    { offset: 0, address: HUGE_PAGE, content: 'h'.repeat(5000) },
    { offset: 5120, address: 2 * HUGE_PAGE + PAGE + 1024, content: 'code'.repeat(2000) },
    { offset: 16_384, address: 7 * HUGE_PAGE + 5 * PAGE, content: 'data'.repeat(99) },
  ];

  it('puts each segment as far into a huge page in the file as in memory, and changes nothing of what is in it', () => {
    const file = elf(layout);
    const aligned = alignSegments(file);
    const [before, after] = [segmentsOf(file), segmentsOf(aligned)];
    assert.ok(before.some(({ offset, address }) => (address - offset) % HUGE_PAGE !== 0));
    for (const { offset, address } of after) assert.equal((address - offset) % HUGE_PAGE, 0);
    assert.deepEqual(
      after.map(({ address }) => address),
      layout.map(({ address }) => address),
    );
    assert.deepEqual(contents(aligned).slice(1), contents(file).slice(1));
    // The first one holds the headers.
    assert.equal(contents(aligned)[0]?.slice(PAGE), contents(file)[0]?.slice(PAGE));
    assert.deepEqual(
      sectionOffsets(aligned),
      after.map(({ offset }) => BigInt(offset)),
    );
    assert.ok(aligned.length < file.length + HUGE_PAGE * layout.length);
  });

  it('leaves one as it is that is so already', () => {
    const aligned = alignSegments(elf(layout));
    assert.ok(alignSegments(aligned).equals(aligned));
  });

  const [first, second, third] = layout as [(typeof layout)[0], (typeof layout)[0], (typeof layout)[0]];
  const shared = elf(layout);
  shared.writeUInt16LE(3, 16);
  const elsewhere = elf(layout);
  elsewhere.copyWithin(16_640, 64, 64 + 3 * 56);
  elsewhere.writeBigUInt64LE(16_640n, 32);
  const unloaded = elf([first]);
  unloaded.writeUInt32LE(4, 64);
  const refused: Readonly<Record<string, Buffer>> = {
    'no executable': Buffer.from('#!/bin/sh\n'.repeat(20)),
    'one at no fixed address': shared,
    'one whose segments are in another order': elf([first, third, second]),
    'one whose headers would not stay at its beginning': elf([{ ...first, address: PAGE }, second]),
    'one whose table of segments is in none of those that stay': elsewhere,
    'one of which nothing is loaded': unloaded,
    'one whose segments are not mapped by pages': elf([first, { ...second, address: second.address + 16 }]),
  };
  for (const [what, file] of Object.entries(refused))
    it(`refuses ${what}`, () =>
      assert.throws(() => alignSegments(file), /see build\/executable\/elf-segments\.ts/));
});

describe('alignFile()', () => {
  it('keeps the mode, and leaves a file that it refuses as it is', () => {
    const dir = tempDir();
    const file = path.join(dir, 'program');
    writeFileSync(file, elf([{ offset: 0, address: HUGE_PAGE, content: 'x'.repeat(300) }]), { mode: 0o751 });
    alignFile(file);
    assert.equal(statSync(file).mode & 0o777, 0o751);
    writeFileSync(file, 'no program');
    assert.throws(() => alignFile(file));
    assert.equal(readFileSync(file, 'utf8'), 'no program');
  });
});

describe('buildExecutable()', { skip: process.platform !== 'linux' && 'is about Linux' }, () => {
  it('aligns the segments of a program for Linux, which runs', async () => {
    const dir = tempDir();
    const entry = path.join(dir, 'entry.ts');
    writeFileSync(entry, `console.log('1.2.3');`);
    const outfile = path.join(dir, 'program');
    await buildExecutable({ entry, outfile, version: '1.2.3' });
    const segments = segmentsOf(readFileSync(outfile));
    assert.ok(segments.length > 1);
    for (const { offset, address } of segments) assert.equal((address - offset) % HUGE_PAGE, 0);
    assert.equal((await run([outfile])).stdout, '1.2.3\n');
  });
});
