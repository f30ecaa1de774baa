import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { root } from '../../build/root.ts';
import { encodeQuery, openForm } from '../../src/protocol/discovery/datagrams.ts';
import {
  type Announcement,
  decodeKeyedQuery,
  decodeKeyedReply,
  deriveKeys,
  type DirectionKeys,
  encodeChallenge,
  encodeKeyedQuery,
  encodeKeyedReply,
  formatNonce,
  nonceOfReply,
  QUERY_SIZES,
} from '../../src/protocol/discovery/keyed-datagrams.ts';
import { nameProblem } from '../../src/protocol/registry/names.ts';

interface Vector {
  readonly what: string;
  readonly key: string;
  readonly query_key: string;
  readonly reply_key: string;
  readonly nonce: string;
  readonly query: { readonly name: string; readonly time: number };
  readonly query_json: string;
  readonly query_bytes: number;
  readonly query_mac: string;
  readonly query_base64: string;
  readonly reply: Announcement | { readonly challenge: string };
  readonly reply_json: string;
  readonly reply_mac: string;
  readonly reply_base64: string;
}

const vectors = JSON.parse(readFileSync(path.join(root, 'docs', 'discovery-vectors.json'), 'utf8')) as {
  readonly open: readonly {
    readonly name: string;
    readonly query_base64: string;
    readonly reply_base64: string;
  }[];
  readonly keyed: readonly Vector[];
};

const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));
const base64 = (datagram: Uint8Array | undefined): string => Buffer.from(datagram ?? []).toString('base64');
const hex = (some: Uint8Array): string => Buffer.from(some).toString('hex');

describe('the vectors that other implementations may use', () => {
  it('of the open form hold', () => {
    for (const { name, query_base64: query, reply_base64: reply } of vectors.open) {
      assert.equal(base64(encodeQuery(name)), query);
      const read = openForm.read(bytes(query));
      assert.ok(typeof read !== 'string');
      assert.deepEqual([read.name, base64(read.reply('127.0.0.1'))], [name, reply]);
    }
  });

  for (const vector of vectors.keyed) {
    it(`of the keyed form hold: ${vector.what}`, () => {
      const { nonce, query, reply: said } = vector;
      const keys = deriveKeys(vector.key);
      assert.deepEqual([hex(keys.query), hex(keys.reply)], [vector.query_key, vector.reply_key]);
      const datagram = encodeKeyedQuery(keys, { nonce, ...query });
      assert.equal(base64(datagram), vector.query_base64);
      assert.deepEqual(decodeKeyedQuery([keys], datagram), { nonce, ...query, keys });
      const sent = { datagram, nonce };
      const reply =
        'challenge' in said
          ? encodeChallenge(keys, sent, said.challenge)
          : encodeKeyedReply(keys, sent, said);
      assert.equal(base64(reply), vector.reply_base64);
      const form = 'challenge' in said ? 'challenge' : 'keyed';
      assert.deepEqual(decodeKeyedReply(keys, sent, reply), { form, ...said });
      // What the file says of them besides.
      assert.equal(datagram.length, vector.query_bytes);
      const queryText = `BPD2 q ${vector.query_mac}\n${vector.query_json}`;
      assert.equal(Buffer.from(datagram).toString('utf8').trimEnd(), queryText);
      assert.equal(Buffer.from(reply).toString('utf8'), `BPD2 r ${vector.reply_mac}\n${vector.reply_json}`);
    });
  }

  const python = spawnSync('python3', ['-c', 'import hmac'], { encoding: 'utf8' });
  const noPython = python.status === 0 ? false : "needs the program 'python3'";
  it("agree with Python's hmac", { skip: noPython }, () => {
    // RFC 5869 in four lines, and nothing of ours.
    const script = `
import base64, hashlib, hmac, json, sys
v = json.load(sys.stdin)
def mac(key, data): return hmac.new(key, data, hashlib.sha256).digest()
def derive(info): return mac(mac(bytes(32), v["key"].encode()), info + b"\\x01")
query, reply = (base64.b64decode(v[n]) for n in ("query_base64", "reply_base64"))
print(mac(derive(b"bpbroker discovery 2 query"), query[72:]).hex())
print(mac(derive(b"bpbroker discovery 2 reply"), hashlib.sha256(query).digest() + reply[72:]).hex())`;
    for (const vector of vectors.keyed) {
      const { stdout, stderr } = spawnSync('python3', ['-c', script], {
        input: JSON.stringify(vector),
        encoding: 'utf8',
      });
      assert.equal(stdout.trim(), `${vector.query_mac}\n${vector.reply_mac}`, stderr);
    }
  });
});

const key = deriveKeys('0123456789abcdef'.repeat(4));
const other = deriveKeys('fedcba9876543210'.repeat(4));
const nonce = formatNonce(Uint8Array.from({ length: 16 }, (_, n) => n));
const time = Date.UTC(2026, 0, 1);
const said = {
  id: 'id-1',
  instance: '0123456789abcdef',
  port: 20443,
  addresses: ['10.0.0.1', 'fd00::1'],
  fingerprint: 'ab'.repeat(32),
};

const names = fc.string({ unit: 'binary', maxLength: 300 }).filter((name) => nameProblem(name) === undefined);
const nonces = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(formatNonce);

describe('a keyed query', () => {
  it('has one of two lengths, and carries every name', () => {
    const longest = [
      ...['x', '"', '\\', 'é', '日本'].map((unit) => unit.repeat(512 / Buffer.byteLength(unit))),
      '',
    ];
    for (const name of longest.filter((one) => one === '' || nameProblem(one) === undefined)) {
      const datagram = encodeKeyedQuery(key, { name, nonce, time });
      assert.ok(QUERY_SIZES.includes(datagram.length), name);
      assert.deepEqual(decodeKeyedQuery([key], datagram), { name, nonce, time, keys: key });
      const challenge = 'x'.repeat(64);
      const challenged = encodeKeyedQuery(key, { name, nonce, challenge });
      assert.deepEqual(decodeKeyedQuery([key], challenged), { name, nonce, challenge, keys: key });
    }
    assert.equal(encodeKeyedQuery(key, { name: 'x'.repeat(350), nonce, time }).length, 512);
    assert.equal(encodeKeyedQuery(key, { name: 'x'.repeat(512), nonce, time }).length, 1280);
    fc.assert(
      fc.property(names, nonces, (name, some) => {
        const read = decodeKeyedQuery([other, key], encodeKeyedQuery(key, { name, nonce: some, time }));
        assert.deepEqual(read, { name, nonce: some, time, keys: key });
      }),
    );
  });

  it('is never made for a name that no entry may have', () => {
    for (const name of ['_access_key', 'a\nb', 'x'.repeat(513)])
      assert.throws(() => encodeKeyedQuery(key, { name, nonce, time }), { code: 'invalid_request' });
  });

  it('is read with the right key alone, and in no other form', () => {
    const datagram = encodeKeyedQuery(key, { name: 'foo', nonce, time });
    assert.equal(decodeKeyedQuery([other], datagram), 'unauthenticated');
    assert.equal(decodeKeyedQuery([], datagram), 'unauthenticated');
    assert.equal(decodeKeyedQuery([key], datagram.subarray(0, -1)), 'malformed');
    assert.equal(decodeKeyedQuery([key], new Uint8Array([...datagram, 32])), 'malformed');
    // With the right MAC, and yet nothing to be answered.
    for (const json of [
      '[]',
      '{}',
      'no JSON',
      `{"versions":[3],"nonce":"${nonce}","time":${time},"name":"foo"}`,
      `{"versions":[2],"nonce":"${nonce}","time":"${time}","name":"foo"}`,
      `{"versions":[2],"nonce":"${nonce}","time":1.5,"name":"foo"}`,
      `{"versions":[2],"nonce":"${nonce}","challenge":"","name":"foo"}`,
      `{"versions":[2],"nonce":"${nonce}","challenge":"a b","name":"foo"}`,
      `{"versions":[2],"nonce":"${nonce}","challenge":"a.b"}`,
      `{"versions":2,"nonce":"${nonce}","time":${time},"name":"foo"}`,
      `{"versions":[2],"nonce":"${nonce.toUpperCase()}","time":${time},"name":"foo"}`,
      `{"versions":[2],"nonce":"${nonce}"}`,
      `{"versions":[2],"nonce":"${nonce}","time":${time},"name":"_access_key"}`,
      `{"versions":[2],"nonce":"${nonce}","time":${time},"name":"a\\nb"}`,
    ]) {
      assert.equal(decodeKeyedQuery([key], signed(key, json)), 'malformed', json);
    }
    const old = `{"versions":[2],"nonce":"${nonce}","name":"foo"}`;
    assert.equal(decodeKeyedQuery([key], signed(key, old)), 'outdated');
    const later = `{"versions":[2,3],"more":{},"time":${time},"name":"foo","nonce":"${nonce}"}`;
    assert.deepEqual(decodeKeyedQuery([key], signed(key, later)), { name: 'foo', nonce, time, keys: key });
  });

  it('fails with any of its bits changed', () => {
    const datagram = encodeKeyedQuery(key, { name: 'foo', nonce, time });
    for (let bit = 0; bit < datagram.length * 8; bit++) {
      const read = decodeKeyedQuery([key], flipped(datagram, bit));
      assert.equal(typeof read, 'string', `bit ${bit}`);
    }
  });
});

/** A query whose JSON is not ours but whose MAC is right. */
function signed(keys: DirectionKeys, json: string): Uint8Array {
  const body = json.padEnd(512 - 72, ' ');
  const mac = createHmac('sha256', keys.query).update(body).digest('hex');
  return new Uint8Array(Buffer.from(`BPD2 q ${mac}\n${body}`, 'utf8'));
}

function flipped(datagram: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(datagram);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

describe('a keyed reply', () => {
  const query = { datagram: encodeKeyedQuery(key, { name: 'foo', nonce, time }), nonce };
  const reply = encodeKeyedReply(key, query, said);

  it('row "reflection": is never longer than its query, however many addresses there are', () => {
    const ip = fc.oneof(fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(names, fc.array(ip, { maxLength: 60 }), (name, addresses) => {
        const asked = { datagram: encodeKeyedQuery(key, { name, nonce, time }), nonce };
        const answer = encodeKeyedReply(key, asked, { ...said, addresses });
        assert.ok(answer.length <= asked.datagram.length);
        const read = decodeKeyedReply(key, asked, answer);
        assert.ok(read?.form === 'keyed');
        assert.ok(addresses.length === 0 || read.addresses.length >= 1);
        for (const address of read.addresses) assert.ok(addresses.includes(address));
      }),
    );
  });

  it('is read for its own query alone, with the right key alone', () => {
    assert.deepEqual(decodeKeyedReply(key, query, reply), { form: 'keyed', ...said });
    assert.equal(nonceOfReply(reply), nonce);
    assert.equal(decodeKeyedReply(other, query, reply), undefined);
    // Another name, the same nonce: the query's hash tells them apart.
    const spliced = { datagram: encodeKeyedQuery(key, { name: 'bar', nonce, time }), nonce };
    assert.equal(decodeKeyedReply(key, spliced, reply), undefined);
    const fresh = {
      datagram: encodeKeyedQuery(key, { name: 'foo', nonce: 'ff'.repeat(16), time }),
      nonce: 'ff'.repeat(16),
    };
    assert.equal(decodeKeyedReply(key, fresh, reply), undefined);
  });

  it('is no query, and a query no reply', () => {
    assert.equal(typeof decodeKeyedQuery([key], reply), 'string');
    assert.equal(decodeKeyedReply(key, query, query.datagram), undefined);
    // A query that is sent back as a reply has a MAC of the wrong one of the two keys.
    const turned = Uint8Array.from(query.datagram);
    turned.set(Buffer.from('r'), 5);
    assert.equal(decodeKeyedReply(key, query, turned), undefined);
  });

  it('fails with any of its bits changed, and with bytes more or less', () => {
    for (let bit = 0; bit < reply.length * 8; bit++)
      assert.equal(decodeKeyedReply(key, query, flipped(reply, bit)), undefined, `bit ${bit}`);
    assert.equal(decodeKeyedReply(key, query, reply.subarray(0, -1)), undefined);
    assert.equal(decodeKeyedReply(key, query, new Uint8Array([...reply, 32])), undefined);
  });

  it('can be any bytes at all', () => {
    const datagram = fc.oneof(
      fc.uint8Array({ maxLength: 1500 }),
      fc.string({ unit: 'binary', maxLength: 400 }).map((text) => {
        const framed = `BPD2 ${text.length % 2 ? 'q' : 'r'} ${'0'.repeat(64)}\n${text}`;
        return new Uint8Array(Buffer.from(framed, 'utf8'));
      }),
      fc.nat(reply.length * 8 - 1).map((bit) => flipped(reply, bit)),
    );
    fc.assert(
      fc.property(datagram, (data) => {
        assert.equal(typeof decodeKeyedQuery([key, other], data), 'string');
        assert.equal(decodeKeyedReply(key, query, data), undefined);
        nonceOfReply(data);
      }),
      { numRuns: 2000 },
    );
  });
});
