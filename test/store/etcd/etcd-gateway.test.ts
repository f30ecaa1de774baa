import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createGateway } from '../../../src/store/etcd/gateway/gateway.ts';

describe('the gateway to etcd', () => {
  it('sends nothing whose time was up before its turn came, and says so', async () => {
    let sent = 0;
    const gateway = createGateway({
      endpoints: ['http://127.0.0.1:1'],
      credentials: undefined,
      // A member that answers nobody.
      fetch: (_url, { signal }) =>
        new Promise((_resolve, reject) => {
          sent++;
          signal?.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    });
    const deadline = performance.now() + 300;
    const asked = await Promise.allSettled(
      Array.from({ length: 300 }, (_, i) =>
        i % 2 === 0 ? gateway.ask('/v3/kv/put', {}, deadline) : gateway.askMany('/v3/kv/put', [{}], deadline),
      ),
    );
    const writing = await Promise.allSettled([gateway.once('/v3/kv/txn', {}, deadline)]);
    const reasons = [...asked, ...writing].map((result) => {
      const { code, message } = (result as PromiseRejectedResult).reason as { code: string; message: string };
      // Not `outcome_unknown`, of a write that was not sent.
      assert.equal(code, 'unavailable');
      return message;
    });
    assert.equal(sent, 96);
    assert.equal(reasons.filter((text) => text.includes('was not sent in time')).length, 301 - 96);
  });
});
