import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRegistry } from '../../src/client/registry/registry.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import type { CallParams } from '../../src/client/connection/rpc.ts';

/**
 * A broker from before `entries`: it refuses a parameter that it does not know, and returns a page with the
 * count.
 */
function olderBroker(count: number): { asked: CallParams[]; registry: ReturnType<typeof createRegistry> } {
  const asked: CallParams[] = [];
  const registry = createRegistry({
    async call(_module, _method, params) {
      asked.push(params);
      if ('entries' in params) throw new BrokerError('invalid_request', "Unknown parameter 'entries'");
      const entries = [{ name: 'a', revision: 1, data: { _str: 'x' } }];
      return { success: true, data: { entries, count }, revision: 7 };
    },
  });
  return { asked, registry };
}

describe('counting at a broker that cannot leave the entries out', () => {
  it('takes the number from its list, of which it asks for as little as there is', async () => {
    const { asked, registry } = olderBroker(3);
    assert.deepEqual(await registry.count('a'), { count: 3, revision: 7 });
    assert.deepEqual(await registry.waitForCount(3, 'a', { timeoutMs: 1000 }), { count: 3, revision: 7 });
    assert.deepEqual(
      asked.map(({ limit }) => limit),
      [undefined, 1, undefined, 1],
    );
  });

  it('asks for a list as it always was', async () => {
    const { asked, registry } = olderBroker(1);
    const { entries } = await registry.waitForCount(1, 'a', { timeoutMs: 1000, entries: true });
    assert.deepEqual([entries.length, asked.length], [1, 1]);
  });

  it('tells any other refusal', async () => {
    const registry = createRegistry({
      call: () => Promise.reject(new BrokerError('invalid_request', "Invalid parameter 'prefix': x")),
    });
    await assert.rejects(registry.count('a'), { code: 'invalid_request' });
  });
});
