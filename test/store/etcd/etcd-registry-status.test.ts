import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KeyValue } from '../../../src/store/etcd/gateway/messages.ts';
import { type MigrationMark, encodeIdentity, identityOf } from '../../../src/store/etcd/identity.ts';
import { createRegistryStatus } from '../../../src/store/etcd/registry-status.ts';

/** What `m/registry` holds, written in that revision of etcd. */
function registry(mod: number, state?: MigrationMark['state'], host = 'secret-host'): KeyValue {
  const closed = state && { state, host, file: '/secret/bpbroker.json', since: '2026-01-31T12:00:00.000Z' };
  const value = encodeIdentity({ id: 'a', revision: 1, at: 1, ...(closed && { closed }) });
  return { key: 'm', value, mod_revision: String(mod) };
}

describe('a registry that is closed', () => {
  const cases = [
    ['moved', /^the registry was moved from etcd to a file; use /, 'file', 'etcd'],
    ['moving', /^the registry is on its way from etcd to a file/, 'etcd', 'file'],
    ['filling', /^the registry is on its way from a file into etcd/, 'file', 'etcd'],
  ] as const;
  for (const [state, notice, from, to] of cases) {
    it(`(${state}) tells callers that it is, and the log where it goes and what helps`, () => {
      const logged: string[] = [];
      const status = createRegistryStatus((_level, message) => logged.push(message));
      status.begin(identityOf(registry(1)));
      status.take(registry(2, state), 2);
      assert.match(status.problem ?? '', notice);
      assert.doesNotMatch(status.problem ?? '', /secret|bpbroker/);
      assert.throws(() => status.check(), {
        code: 'unavailable',
        message: `The registry cannot be used now: ${status.problem}`,
      });
      const command = `: bpbroker migrate --from ${from} --to ${to} --config /secret/bpbroker.json`;
      assert.equal(logged.length, 1);
      assert.match(logged[0] ?? '', /^the registry cannot be used: .* on secret-host /);
      assert.ok(logged[0]?.endsWith(command), logged[0]);
      // The same again is no news; another host is.
      status.take(registry(3, state), 3);
      assert.equal(logged.length, 1);
      status.take(registry(4, state, 'other-host'), 4);
      assert.match(logged[1] ?? '', /other-host/);
    });
  }

  it('is refused to a store that begins with it, in the same words, until it is open', () => {
    const logged: string[] = [];
    const status = createRegistryStatus((_level, message) => logged.push(message));
    for (let tries = 0; tries < 2; tries++) {
      assert.throws(() => status.begin(identityOf(registry(2, 'moved'))), {
        code: 'invalid_config',
        message: /^Cannot use the registry in etcd: (?!.*secret)the registry was moved from etcd to a file/,
      });
    }
    assert.equal(logged.length, 1);
    assert.match(logged[0] ?? '', /secret-host .*bpbroker migrate --from file --to etcd/);
    status.begin(identityOf(registry(3)));
    status.check();
    assert.equal(logged[1], 'the registry can be used again');
  });
});
