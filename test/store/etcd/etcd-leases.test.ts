import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { createSpareLease } from '../../../src/store/etcd/writes/spare-lease.ts';
import { type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { lacking } from '../../support/programs/tools.ts';
import { interceptedFetch, newPrefix, openEtcd } from './etcd-support.ts';
import { put } from '../support.ts';

const skip = lacking('etcd');

describe('the lease of a write that is tried several times', () => {
  /** What was asked of etcd, and the lease of a write at a clock of its own. */
  function begin(): { asked: string[]; clock: { now: number }; spare: ReturnType<typeof createSpareLease> } {
    const asked: string[] = [];
    let granted = 0;
    const leases = {
      grant(ttlMs: number): Promise<string> {
        asked.push(`grant ${ttlMs}`);
        return Promise.resolve(`lease ${++granted}`);
      },
      drop: (lease: string): void => void asked.push(`drop ${lease}`),
    };
    const clock = { now: 0 };
    return { asked, clock, spare: createSpareLease(leases, () => clock.now) };
  }

  it('is granted once for tries that follow at once', async () => {
    const { asked, clock, spare } = begin();
    assert.equal(await spare.take(5000, Infinity), 'lease 1');
    clock.now += 100;
    assert.equal(await spare.take(5000, Infinity), 'lease 1');
    spare.drop();
    spare.drop();
    assert.deepEqual(asked, ['grant 5000', 'drop lease 1']);
  });

  it('is another one where the lifetime is another, or has run for a while', async () => {
    const { asked, clock, spare } = begin();
    await spare.take(5000, Infinity);
    assert.equal(await spare.take(60_000, Infinity), 'lease 2');
    clock.now += 1000;
    assert.equal(await spare.take(60_000, Infinity), 'lease 3');
    assert.deepEqual(asked, ['grant 5000', 'drop lease 1', 'grant 60000', 'drop lease 2', 'grant 60000']);
  });

  it('is left to the entry that has it', async () => {
    const { asked, spare } = begin();
    await spare.take(5000, Infinity);
    spare.letGo();
    spare.drop();
    assert.equal(await spare.take(5000, Infinity), 'lease 2');
    assert.deepEqual(asked, ['grant 5000', 'grant 5000']);
  });
});

describe('the lifetime of an entry in etcd', { skip, timeout: 60_000 }, () => {
  let cluster: EtcdCluster;

  before(async () => {
    cluster = await startEtcd({ members: 1 });
  });

  it('is the one that a write keeps, also when another store has just changed it', async () => {
    const { endpoints } = cluster;
    const prefix = newPrefix();
    let passOn = Promise.resolve();
    const holding = interceptedFetch(async (path, _body, pass) => {
      const response = await pass();
      if (path !== '/v3/watch') return response;
      const held = new TransformStream<Uint8Array, Uint8Array>({
        async transform(piece, controller) {
          await passOn;
          controller.enqueue(piece);
        },
      });
      response.body?.pipeTo(held.writable).catch(() => undefined);
      return new Response(held.readable);
    });
    const ahead = await openEtcd({ endpoints, prefix });
    const behind = await openEtcd({ endpoints, prefix, fetch: holding });
    try {
      await ahead.mutate('foo', put('first', 10_000));
      assert.equal((await behind.get('foo'))?.ttlMs, 10_000);
      let letGo = (): void => undefined;
      passOn = new Promise((resolve) => {
        letGo = resolve;
      });
      await ahead.mutate('foo', put('second', 3_600_000));
      const seen: (number | undefined)[] = [];
      await behind.mutate('foo', (current) => {
        seen.push(current?.ttlMs);
        return put('third', current?.ttlMs)(current);
      });
      letGo();
      // It was decided for the former state first.
      assert.deepEqual([seen[0], seen.at(-1)], [10_000, 3_600_000]);
      const left = await ahead.lifetimeLeft('foo');
      assert.ok(left !== undefined && left > 1_800_000, `${left} ms are left`);
    } finally {
      await Promise.all([ahead.close(), behind.close()]);
    }
  });
});
