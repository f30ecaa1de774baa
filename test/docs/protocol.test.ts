import assert from 'node:assert/strict';
import { hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { decodeQuery, encodeQuery, openForm } from '../../src/protocol/discovery/datagrams.ts';
import { EARLIEST_TIME, QUERY_LIFETIME_MS } from '../../src/protocol/discovery/replay-check.ts';
import {
  decodeKeyedQuery,
  deriveKeys,
  encodeChallenge,
  encodeKeyedQuery,
  encodeKeyedReply,
  QUERY_SIZES,
} from '../../src/protocol/discovery/keyed-datagrams.ts';
import type { JsonObject } from '../../src/protocol/formats/data.ts';
import { openApp } from '../broker/support.ts';

/** What docs/protocol.md says of the bytes is what the programs send. Its vectors are tested beside the codec. */

const page = readFileSync(path.join(root, 'docs', 'protocol.md'), 'utf8');
const key = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f';
const keys = deriveKeys(key);
const nonce = '00112233445566778899aabbccddeeff';

/** What is below a heading, as far as the next one. */
function below(heading: string): string {
  const [, text] = page.split(`\n${heading}\n`);
  assert.ok(text !== undefined, `no heading '${heading}'`);
  return text.split(/\n#+ /)[0] ?? '';
}

/** The rows of all tables below a heading, without their heads. */
function rowsBelow(heading: string): string[][] {
  const tables = below(heading).match(/(?:^\|.*\n)+/gm) ?? [];
  return tables.flatMap((table) =>
    table
      .trimEnd()
      .split('\n')
      .slice(2)
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      ),
  );
}

/** The first block of JSON below a heading. */
function exampleBelow(heading: string): JsonObject {
  return JSON.parse(/```json\n([^]*?)```/.exec(below(heading))?.[1] ?? '') as JsonObject;
}

const bodyOf = (datagram: Uint8Array): JsonObject =>
  JSON.parse(Buffer.from(datagram).subarray(72).toString('utf8')) as JsonObject;

/** The members that a table of a section names. */
const membersIn = (heading: string): string[] =>
  rowsBelow(heading).flatMap(([name = '']) => /^`([a-z]+)`$/.exec(name)?.[1] ?? []);

/** Fails unless a datagram has, at each offset of a section's table, what the table says. */
function checkOffsets(heading: string, datagram: Uint8Array): void {
  const rows = rowsBelow(heading).filter(([offset = '']) => /^\d+$/.test(offset));
  assert.equal(rows.length, 4);
  let end = 0;
  for (const [offset, length, bytes = ''] of rows) {
    assert.equal(Number(offset), end, heading);
    const size = length === 'rest' ? datagram.length - end : Number(length);
    const part = Buffer.from(datagram).subarray(end, end + size);
    end += size;
    const literal = /^`(.*)`$/.exec(bytes)?.[1];
    if (bytes.startsWith('MAC')) assert.match(part.toString('latin1'), /^[0-9a-f]{64}$/);
    else if (bytes.startsWith('body')) assert.equal(part.at(0), '{'.charCodeAt(0));
    else
      assert.ok(
        [part.toString('latin1'), part.toString('hex')].includes(literal ?? ''),
        `${heading}: ${bytes}`,
      );
  }
  assert.equal(end, datagram.length);
}

const query = encodeKeyedQuery(keys, { name: 'foo-cluster1', nonce, time: 1_795_761_234_567 });
const reply = encodeKeyedReply(
  keys,
  { datagram: query, nonce },
  {
    id: '4e993599a74f68f5',
    instance: '8f14e45fceea167a',
    shared: true,
    port: 20_443,
    addresses: ['10.0.0.1'],
    fingerprint: 'ab'.repeat(32),
  },
);

describe('docs/protocol.md', () => {
  it('has the bytes of the open form', () => {
    const asked = openForm.read(encodeQuery('foo'));
    assert.ok(typeof asked !== 'string');
    const [, hex = '', text = ''] =
      /\| reply \| `([0-9a-f ]+)` \(`(.*)`\)/.exec(below('## Open discovery')) ?? [];
    assert.equal(Buffer.from(asked.reply('') ?? []).toString('hex'), hex.replaceAll(' ', ''));
    assert.equal(Buffer.from(asked.reply('') ?? []).toString('utf8'), text.replace(String.raw`\n`, '\n'));
    const longest = Number(/A query has at most (\d+) bytes/.exec(page)?.[1]);
    const padded = (bytes: number): Uint8Array =>
      Buffer.from(`${'n'.repeat(512)}${' '.repeat(bytes - 513)}\n`);
    assert.equal(decodeQuery(padded(longest)), 'n'.repeat(512));
    assert.equal(decodeQuery(padded(longest + 1)), undefined);
  });

  it('has the texts that keys are derived with', () => {
    const derived = rowsBelow('### Keys').map(([, info = '']) =>
      Buffer.from(hkdfSync('sha256', key, '', info.replaceAll('`', ''), 32)).toString('hex'),
    );
    assert.deepEqual(
      derived,
      [keys.query, keys.reply].map((one) => Buffer.from(one).toString('hex')),
    );
  });

  it('has the places of the bytes of keyed datagrams, and their lengths', () => {
    checkOffsets('### Query', query);
    checkOffsets('### Reply', reply);
    const [, short, long] = /A query has \*\*(\d+) bytes, or (\d+)\*\*/.exec(page) ?? [];
    assert.deepEqual([Number(short), Number(long)], QUERY_SIZES);
    assert.equal(query.length, Number(short));
  });

  it('has every member of a query, a reply and a challenge', () => {
    const challenging = encodeKeyedQuery(keys, { nonce, challenge: '' });
    const sent = new Set([query, challenging].flatMap((datagram) => Object.keys(bodyOf(datagram))));
    assert.deepEqual(membersIn('### Query').toSorted(), [...sent].toSorted());
    assert.deepEqual(exampleBelow('### Query'), bodyOf(query));
    assert.deepEqual(membersIn('### Reply').toSorted(), Object.keys(bodyOf(reply)).toSorted());
    const { shared, ...usual } = bodyOf(reply);
    assert.equal(shared, true);
    assert.deepEqual(Object.keys(exampleBelow('### Reply')), Object.keys(usual));
    const challenge = encodeChallenge(keys, { datagram: challenging, nonce }, '81234.8f14e45fceea167a');
    assert.deepEqual(Object.keys(exampleBelow('### Challenge')), Object.keys(bodyOf(challenge)));
    assert.equal(exampleBelow('### Challenge')['challenge'], bodyOf(challenge)['challenge']);
  });

  it('has the bounds that a broker goes by', () => {
    const rules = below('### What a broker does');
    const seconds = [...rules.matchAll(/(?:more than|good for) (\d+) s\b/g)].map(
      ([, text]) => Number(text) * 1000,
    );
    assert.ok(seconds.length >= 3);
    for (const ms of seconds) assert.equal(ms, QUERY_LIFETIME_MS);
    assert.equal(Date.UTC(Number(/Times before (\d{4})/.exec(rules)?.[1]), 0), EARLIEST_TIME);
    assert.equal(decodeKeyedQuery([keys], query.subarray(1)), 'malformed');
  });

  it('has the members of /identity', async (t) => {
    const { broker, send } = await openApp({});
    t.after(() => broker.close());
    const { body } = await send('/identity');
    assert.deepEqual(Object.keys(exampleBelow('## /identity')), Object.keys(body));
  });
});
