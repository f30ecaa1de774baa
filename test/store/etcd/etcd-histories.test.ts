import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdStore } from '../../../src/store/etcd/etcd-store.ts';
import { violations } from '../../prove/rows/histories.ts';
import { type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { chooseSeed, createRandom, type Random } from '../../support/random.ts';
import { lacking } from '../../support/programs/tools.ts';
import { interceptedFetch, newPrefix, openEtcd } from './etcd-support.ts';
import { create, put, remove } from '../support.ts';

type Call = Parameters<typeof violations>[0][number];

const skip = lacking('etcd');
const HISTORIES = 12;

/** Changes arrive late, as over a busy network: what is read from memory alone is old. */
const slowWatch = interceptedFetch(async (at, _, pass) => {
  const response = await pass();
  if (at !== '/v3/watch' || !response.body) return response;
  const late = new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      await sleep(20);
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(late), { status: response.status });
});

/** One call, as it was made and answered. */
async function makeCall(store: EtcdStore, name: string, value: number, random: Random): Promise<Call> {
  const kind = random.pick<Call['kind']>(['get', 'get', 'get', 'put', 'put', 'create', 'create', 'delete']);
  const call: Call = { kind, name, value, began: performance.now(), ended: Infinity };
  try {
    if (kind === 'get') {
      const entry = await store.get(name);
      if (entry) Object.assign(call, { revision: entry.revision, seen: entry.data['n'] });
      else call.refused = true;
    } else {
      const mutation = { put: put({ n: value }), create: create({ n: value }), delete: remove }[kind];
      call.revision = (await store.mutate(name, mutation)).revision;
    }
  } catch (error) {
    const { code } = error as { code?: string };
    // What became of it is not known, or it is as good as that.
    if (code === 'unavailable' || code === 'outcome_unknown') return call;
    assert.equal(code, 'already_exists');
    call.refused = true;
  }
  call.ended = performance.now();
  return call;
}

describe('histories of concurrent calls through three stores', { skip, timeout: 240_000 }, () => {
  const seed = chooseSeed();
  const random = createRandom(seed);
  let cluster: EtcdCluster;
  let stores: EtcdStore[];

  before(async () => {
    cluster = await startEtcd();
    const prefix = newPrefix();
    const { endpoints } = cluster;
    stores = await Promise.all(
      endpoints.map((first) =>
        openEtcd({ endpoints: [first, ...endpoints], prefix, timeoutMs: 3000, fetch: slowWatch }),
      ),
    );
  });

  after(async () => {
    for (const member of cluster.members) member.signal('SIGCONT');
    await Promise.all(stores.map((store) => store.close()));
  });

  async function record(n: number): Promise<Call[]> {
    const history: Call[] = [];
    let value = 0;
    const client = async (store: EtcdStore): Promise<void> => {
      for (let i = 0; i < 12; i++) {
        const call = await makeCall(store, `h${n}-${random.below(2)}`, ++value, random);
        history.push(call);
      }
    };
    await Promise.all([...stores, ...stores].map((store) => client(store)));
    return history;
  }

  it(`are linearizable, while members are killed and stopped (BPBROKER_SEED=${seed})`, async () => {
    let answered = 0;
    for (let n = 0; n < HISTORIES; n++) {
      const member = cluster.members[random.below(3)];
      const recording = record(n);
      if (n % 4 === 1) {
        await member?.kill();
        member?.start();
      }
      if (n % 4 === 3) {
        member?.signal('SIGSTOP');
        setTimeout(() => member?.signal('SIGCONT'), 1500);
      }
      const history = await recording;
      answered += history.filter(({ ended }) => ended < Infinity).length;
      assert.deepEqual(violations(history), [], `history ${n}`);
    }
    assert.ok(answered > HISTORIES * 36, `${answered} answers`);
  });

  it('would show it, were one not', async () => {
    const history = await record(HISTORIES);
    assert.deepEqual(violations(history), []);
    const last = history.findLast((call) => call.kind === 'put' && call.revision !== undefined);
    assert.ok(last);
    const began = performance.now();
    // Somebody reads it as if it had not been written.
    const stale: Call = {
      kind: 'get',
      name: last.name,
      value: 0,
      began,
      ended: began + 1,
      revision: 1,
      seen: 0,
    };
    const earlier: Call = { kind: 'put', name: last.name, value: 0, began: 0, ended: 0, revision: 1 };
    assert.notDeepEqual(violations([earlier, ...history, stale]), []);
  });
});
