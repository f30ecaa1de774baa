import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { parseJsonText, readJsonFile } from '../../src/config/json-file.ts';
import type { Section } from '../../src/config/json-members.ts';
import type { Json, JsonObject } from '../../src/protocol/formats/data.ts';
import { memoryDir } from '../store/file/memory-dir.ts';
import { chooseSeed, createRandom, type Random } from '../support/random.ts';

const isLong = process.env['BPBROKER_LONG'] === '1';
const file = path.join(memoryDir(), 'some.json');
const KEYS = ['', 'a', '_x', '10', 'né', '𝄞', '{', '}', '[', ',', 'q"', ': ', '__proto__'] as const;
const TEXTS = [
  '',
  'a',
  '_x',
  '10',
  'né',
  '𝄞',
  '{',
  '}',
  '[',
  ',',
  '"',
  '\\',
  '\\"',
  '\n',
  ': ',
  '__proto__',
] as const;

/** Reads with sections, then puts what they took back where parsing the whole text has it. */
async function readApart(chunkBytes?: number): Promise<JsonObject | undefined> {
  const taken: Record<string, Record<string, Json>> = {};
  const gather = (key: string): Section => ({
    begin() {
      taken[key] = Object.create(null) as Record<string, Json>;
    },
    member(name, value) {
      if (name.startsWith('_')) return false;
      (taken[key] ?? {})[name] = value;
      return true;
    },
  });
  const sections = { services: gather('services'), _registry: { sections: { entries: gather('entries') } } };
  const read = await readJsonFile(file, chunkBytes === undefined ? { sections } : { sections, chunkBytes });
  if (read === undefined) return undefined;
  const copy = structuredClone(read) as Record<string, Record<string, Json>>;
  const services = copy['services'];
  if (isPlain(services)) Object.assign(services, taken['services']);
  const entries = copy['_registry']?.['entries'];
  if (isPlain(copy['_registry']) && isPlain(entries)) Object.assign(entries, taken['entries']);
  return copy;
}

function isPlain(value: Json | undefined): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function outcome(read: Promise<JsonObject | undefined>): Promise<unknown> {
  try {
    return JSON.stringify(sorted((await read) ?? null));
  } catch (error) {
    return (error as Error).message;
  }
}

/** Parsing keeps no order that the pieces could be put back in. */
function sorted(value: Json): Json {
  if (!isPlain(value)) return value;
  return Object.keys(value)
    .toSorted()
    .map((key) => [key, sorted(value[key] ?? null)]);
}

function randomJson(random: Random, depth: number): Json {
  const kind = random.below(depth > 0 ? 7 : 4);
  if (kind === 0) return random.pick([null, true, false, 0, -1.5e-7, 12]);
  if (kind < 4) return random.pick(TEXTS) + random.pick(TEXTS);
  if (kind === 4) return Array.from({ length: random.below(3) }, () => randomJson(random, depth - 1));
  return randomObject(random, depth - 1);
}

function randomObject(random: Random, depth: number): Record<string, Json> {
  const members = Array.from({ length: random.below(5) }, () => [
    random.pick(KEYS) + random.pick(KEYS),
    randomJson(random, depth),
  ]);
  return Object.fromEntries(members) as Record<string, Json>;
}

function randomFile(random: Random): string {
  const document: Record<string, Json> = {
    ...randomObject(random, 2),
    ...(random.below(5) > 0 ? { services: randomObject(random, 2) } : {}),
    ...(random.below(3) > 0 ? { _registry: { id: 'x', entries: randomObject(random, 1) } } : {}),
  };
  const text = JSON.stringify(document, null, random.pick([0, 1, '\t', '\r\n ']));
  // A line for each member, as the broker writes it, and no two alike otherwise.
  return random.below(2) === 0 ? text.replaceAll('},"', '},\n"') : text;
}

function damage(random: Random, text: string): string {
  const at = random.below(text.length + 1);
  const rest = at + random.below(3);
  const inserted = random.pick([
    '',
    '{',
    '}',
    '"',
    ',',
    ']',
    '\\',
    'x',
    '0',
    '\n',
    ' ',
    ':',
    '"a":1,',
    '\u0001',
  ]);
  return random.below(4) === 0 ? text.slice(0, at) : text.slice(0, at) + inserted + text.slice(rest);
}

describe('readJsonFile()', () => {
  it('reads the same as parsing the whole text, and refuses with the same words at the same place', async (t) => {
    const seed = chooseSeed();
    t.diagnostic(`BPBROKER_SEED=${seed}`);
    const random = createRandom(seed);
    for (let round = 0; round < (isLong ? 50_000 : 3000); round++) {
      const good = randomFile(random);
      const text = (random.below(3) === 0 ? good : damage(random, good)).toWellFormed();
      writeFileSync(file, text);
      const expected = await outcome(parseJsonText(text, file));
      const chunkBytes = random.pick([1, 2, 7, 64, 4096]);
      assert.equal(await outcome(readApart(chunkBytes)), expected, `${chunkBytes}: ${text}`);
    }
  });

  it('means the last of two members of one name, as parsing does', async () => {
    const text = '{"services": {"a": 1, "b": 2}, "x": 1, "services": {"c": 3, "c": 4}, "x": 2}';
    writeFileSync(file, text);
    assert.deepEqual(await readApart(), JSON.parse(text));
  });

  it('leaves a byte order mark out, and refuses what is not UTF-8 wherever a piece ends', async () => {
    const good = Buffer.from('\uFEFF{"services": {"a": "né 𝄞 ﻿"}}');
    for (let chunkBytes = 1; chunkBytes < 8; chunkBytes++) {
      writeFileSync(file, good);
      assert.deepEqual(await readApart(chunkBytes), { services: { a: 'né 𝄞 \uFEFF' } });
      for (const byte of [0x80, 0xc0, 0xf8, 0xff]) {
        const bad = Buffer.from(good);
        bad[good.indexOf('n')] = byte;
        writeFileSync(file, bad);
        await assert.rejects(readApart(chunkBytes), /not valid UTF-8/);
      }
      writeFileSync(file, good.subarray(0, good.indexOf('𝄞') + 2));
      await assert.rejects(readApart(chunkBytes), /not valid UTF-8/);
    }
  });

  it('holds one member at a time, however many there are', async () => {
    const member = `"n": ${JSON.stringify({ text: 'x'.repeat(1000) })}`;
    writeFileSync(file, `{"services": {${Array.from({ length: 20_000 }, () => member).join(',\n')}}}`);
    let members = 0;
    let longest = 0;
    const services: Section = {
      member(_name, _value, text) {
        members++;
        longest = Math.max(longest, text.length);
        return true;
      },
    };
    assert.deepEqual(await readJsonFile(file, { sections: { services } }), { services: {} });
    assert.deepEqual([members, longest], [20_000, member.length]);
  });

  it('names the place where a member begins that is too long', async () => {
    writeFileSync(file, `{\n  "services": {\n    "a": "${'x'.repeat(90 * 1024 * 1024)}"}}`);
    await assert.rejects(
      readApart(),
      /some\.json:3:5: a member begins here that takes more than \d+ characters/,
    );
  });
});
