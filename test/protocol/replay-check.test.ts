import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  type KeyedReply,
  type Query,
  type QueryForm,
  type Question,
} from '../../src/protocol/discovery/datagrams.ts';
import { createReplayCheck, QUERY_LIFETIME_MS } from '../../src/protocol/discovery/replay-check.ts';
import { keyedForm, keyedQuestion } from '../../src/protocol/discovery/keyed-forms.ts';

const key = randomBytes(32).toString('hex');
const now = Date.UTC(2026, 5, 1);
const MINUTE = 60_000;

interface TestBroker {
  readonly form: QueryForm;
  /** Lets time pass on its clocks. */
  pass(ms: number): void;
  /** Sets its wall clock. */
  set(wall: number): void;
}

function brokerAt(wall: number, instance = 'one'): TestBroker {
  const clock = { wall, steady: 1000.5 };
  const freshness = createReplayCheck(instance, { wall: () => clock.wall, steady: () => clock.steady });
  const said = { id: 'registry', instance, port: 20443, fingerprint: 'ab'.repeat(32), addresses: [] };
  return {
    form: keyedForm([key], () => said, freshness),
    pass(ms) {
      clock.wall += ms;
      clock.steady += ms;
    },
    set: (to) => void (clock.wall = to),
  };
}

const clientAt = (wall: number): Question => keyedQuestion('foo', key, Infinity, () => wall);

/** What a broker answers, as its responder would have it. */
function answer({ form }: TestBroker, datagram: Uint8Array | undefined): Uint8Array | string {
  const query: Query | string = form.read(datagram ?? new Uint8Array());
  if (typeof query === 'string') return query;
  return query.claim?.() ? (query.reply('10.0.0.1') ?? 'no reply') : 'repeated';
}

/** A whole exchange: what the client learns, and how many datagrams it sent. */
function exchange(broker: TestBroker, client: Question): { reply: KeyedReply | undefined; sent: number } {
  let sent = 0;
  for (let round = 0; round < 2; round++) {
    const queries = [...client.queries(round)];
    for (let query = queries.shift(); query; query = queries.shift()) {
      sent += 1;
      const datagram = answer(broker, query);
      if (typeof datagram === 'string') continue;
      assert.ok(datagram.length <= query.length, 'no reply is longer than its query');
      const said = client.read(datagram);
      if (said?.form === 'challenge') queries.push(said.query);
      if (said?.form === 'keyed') return { reply: said, sent };
    }
  }
  return { reply: undefined, sent };
}

describe('row "captured": a keyed query', () => {
  it('is answered within its lifetime, once, and never again', () => {
    const broker = brokerAt(now);
    const [query] = clientAt(now).queries(0);
    broker.pass(QUERY_LIFETIME_MS);
    assert.ok(answer(broker, query) instanceof Uint8Array);
    assert.equal(answer(broker, query), 'repeated');
    for (const ms of [1, 11_000, MINUTE, 365 * 24 * 60 * MINUTE]) {
      broker.pass(ms);
      assert.equal(answer(broker, query), 'stale');
    }
    // Nor by another broker, or by this one after a restart.
    const other = brokerAt(now + MINUTE, 'two');
    assert.equal(answer(other, query), 'stale');
  });

  it('of a client whose clock is ahead is not kept for when its time has come', () => {
    const broker = brokerAt(now);
    const [query] = clientAt(now + MINUTE).queries(0);
    assert.equal(answer(broker, query), 'stale');
    broker.pass(MINUTE);
    assert.equal(answer(broker, query), 'stale');
  });

  it('with a challenge is answered within its lifetime, by the broker that gave it out alone', () => {
    const broker = brokerAt(0);
    const client = clientAt(0);
    const [asking] = client.queries(0);
    const given = answer(broker, asking);
    assert.ok(given instanceof Uint8Array);
    assert.ok(!Buffer.from(given).toString().includes('registry'), 'it says nothing of the broker');
    assert.equal(answer(broker, asking), 'repeated', 'a challenge is given once a query');
    const challenge = client.read(given);
    assert.ok(challenge?.form === 'challenge');
    assert.equal(client.read(given), undefined, 'and taken up once');
    assert.equal(answer(brokerAt(0, 'two'), challenge.query), 'stale');
    broker.pass(11_000);
    assert.equal(answer(broker, challenge.query), 'stale');
  });

  it('of a version that does not say when it was made is refused', () => {
    // From a vector of that version.
    const { form } = brokerAt(now);
    const old = keyedForm(
      ['000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'],
      () => undefined,
    );
    const datagram = Buffer.from(
      `BPD2 q 106c7cbb24bb2fbc4332078f47cee0cdcf2a02ba0009fb62f22a48aead74d0cd\n${'{"versions":[2],"nonce":"00112233445566778899aabbccddeeff","name":"foo-cluster1"}'.padEnd(440)}`,
    );
    assert.equal(old.read(datagram), 'outdated');
    assert.equal(form.read(datagram), 'unauthenticated');
  });
});

describe('a keyed exchange', () => {
  it('takes one query where both clocks are right, or nearly', () => {
    for (const off of [0, 9000, -9000])
      assert.deepEqual(exchange(brokerAt(now + off), clientAt(now)).sent, 1);
  });

  it('works whatever the clocks say, on either side', () => {
    const times = [0, now - 365 * 24 * 60 * MINUTE, now - MINUTE, now, now + MINUTE, Date.UTC(2199, 0, 1)];
    for (const broker of times) {
      for (const client of times) {
        const { reply } = exchange(brokerAt(broker), clientAt(client));
        assert.equal(reply?.instance, 'one', `broker at ${broker}, client at ${client}`);
      }
    }
  });

  it('goes on when the clock is set meanwhile', () => {
    const broker = brokerAt(0);
    const client = clientAt(now);
    client.queries(0);
    const [, asking] = client.queries(1);
    const challenge = client.read(answer(broker, asking) as Uint8Array);
    broker.set(now);
    assert.ok(challenge?.form === 'challenge');
    assert.ok(answer(broker, challenge.query) instanceof Uint8Array);
  });

  it('keeps a bounded number of nonces in mind', () => {
    const { claim } = createReplayCheck('x');
    const first = claim('0');
    for (let n = 1; n < 70_000; n++) claim(String(n));
    assert.ok(first && claim('0'), 'the oldest has been forgotten');
    assert.equal(claim('69999'), undefined);
    claim('again')?.();
    assert.ok(claim('again'), 'what was given back may be claimed');
  });
});
