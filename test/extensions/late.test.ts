import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { reference } from '../programs/support.ts';
import { writeExtensions } from '../support/registry/extensions.ts';
import { startBroker } from '../support/programs/programs.ts';
import { tempDir } from '../support/temp.ts';

const script = `
let kept;
export function Keep({ registry }) { kept = registry; }
export function Use() { return kept.get('foo').then(() => 'it got it', (error) => error.message); }
export const Waits = ({ registry }) => registry.register('taken', 'me', { wait: true });
export const GivesUp = async ({ registry }) => {
  const signal = AbortSignal.timeout(200);
  const reasons = await Promise.all([
    registry.register('taken', 'me', { wait: true, signal }).catch(({ name }) => name),
    registry.waitFor('never', { signal }).catch(({ name }) => name),
  ]);
  await registry.delete('taken');
  return [...reasons, await registry.waitFor('taken', { timeoutMs: 500 }).catch(({ code }) => code)];
};
`;

const message =
  'The registry and locks are available only during a call; this one has ended, or has not begun\n';

describe('what an extension asks of the broker outside a call', () => {
  it('is refused, rather than left to wait for ever', async () => {
    const dir = tempDir();
    writeExtensions(dir, {
      'late.mjs': script,
      'early.py': 'import bpbroker\nlist(bpbroker.config.data["services"])\n',
    });
    const one = { _concurrency: 1, _timeout_secs: 10 };
    const broker = await startBroker(reference, { dir, config: { late: one, early: one } });
    const execute = (method: string) => broker.client(['execute', '--method', method, '--quiet']);
    assert.equal((await execute('late.Keep')).code, 0);
    assert.equal((await execute('late.Use')).stdout, message);
    const { code, stderr } = await execute('early.Any');
    assert.equal(code, 1);
    assert.equal(stderr, `Fatal error: Extension 'early' cannot be loaded: BrokerError: ${message}`);
    await broker.kill();
  });

  it('ends with the call, or with its signal: a name that it waits for is registered for nobody', async () => {
    const dir = tempDir();
    writeExtensions(dir, { 'late.mjs': script, 'brief.mjs': script });
    const config = { late: { _timeout_secs: 10 }, brief: { _timeout_secs: 1 }, services: {} };
    const broker = await startBroker(reference, { dir, config });
    const service = (...words: string[]) => broker.client(['service', ...words, '--quiet']);
    const execute = (method: string) => broker.client(['execute', '--method', method, '--quiet']);

    assert.equal((await service('register', '--name', 'taken', '--data', 'x')).code, 0);
    const { stdout, stderr } = await execute('late.GivesUp');
    assert.equal(stderr, '');
    assert.deepEqual(JSON.parse(stdout), ['TimeoutError', 'TimeoutError', 'timeout']);

    assert.equal((await service('register', '--name', 'taken', '--data', 'x')).code, 0);
    assert.equal((await execute('brief.Waits')).code, 9);
    assert.equal((await service('delete', '--name', 'taken')).code, 0);
    const { code } = await service('get', '--name', 'taken', '--wait', '--timeout', '500ms');
    assert.equal(code, 9);
    await broker.kill();
  });
});
