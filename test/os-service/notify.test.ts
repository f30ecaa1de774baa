import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { waitFor } from '../support/wait.ts';
import { createNotify, takeNotifyVariables } from '../../src/os-service/linux/notify.ts';

describe('createNotify()', () => {
  it('says nothing where no manager listens', async () => {
    const sent: string[] = [];
    const notify = createNotify({
      env: {},
      send: async (said) => void sent.push(...said),
      onError: assert.fail,
    });
    await notify.ready('x');
    await notify.stopping();
    await notify.watchdog();
    assert.deepEqual([sent, notify.watchdogMs], [[], undefined]);
  });

  it('sends what sd_notify defines, a line each', async () => {
    const sent: (readonly string[])[] = [];
    const env = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '30000000' };
    const notify = createNotify({ env, send: async (said) => void sent.push(said), onError: assert.fail });
    await notify.watchdog();
    await notify.ready('two\nlines');
    await notify.status('well');
    await notify.watchdog();
    await notify.stopping();
    await notify.watchdog();
    // Readiness may have been lost, and is said again while it holds.
    assert.deepEqual(sent, [
      ['WATCHDOG=1'],
      ['READY=1', 'STATUS=two lines'],
      ['STATUS=well'],
      ['READY=1', 'WATCHDOG=1'],
      ['STOPPING=1'],
      ['WATCHDOG=1'],
    ]);
    assert.equal(notify.watchdogMs, 30_000);
  });

  it('says one thing after another, and knows when all has been taken', async () => {
    const taken: string[] = [];
    const waiting: (() => void)[] = [];
    const notify = createNotify({
      env: { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '30000000' },
      send: (said) =>
        new Promise((resolve) => {
          waiting.push(() => {
            taken.push(said.join(' '));
            resolve();
          });
        }),
      onError: assert.fail,
    });
    void notify.watchdog();
    void notify.stopping();
    let all = false;
    const delivered = notify.delivered().then(() => (all = true));
    for (const wanted of [['WATCHDOG=1'], ['WATCHDOG=1', 'STOPPING=1']]) {
      await waitFor('one message to be sent', () => waiting.length > 0);
      assert.deepEqual([waiting.length, all], [1, false]);
      waiting.shift()?.();
      assert.deepEqual(taken, wanted);
    }
    await delivered;
  });

  it('feeds no watchdog that the manager does not have', async () => {
    const notify = createNotify({
      env: { NOTIFY_SOCKET: '/run/x' },
      send: () => Promise.reject(new Error('sent')),
      onError: assert.fail,
    });
    await notify.watchdog();
  });

  it('a manager that cannot be reached is reported, and ends nothing', async () => {
    const errors: string[] = [];
    const notify = createNotify({
      env: { NOTIFY_SOCKET: '/run/x' },
      send: () => Promise.reject(new Error('no such program')),
      onError: (reason) => errors.push(reason),
    });
    await notify.ready('x');
    assert.deepEqual(errors, ['no such program']);
  });

  it('its variables are taken out of the environment that extensions inherit', () => {
    const env: Record<string, string | undefined> = {
      NOTIFY_SOCKET: '/run/x',
      WATCHDOG_USEC: '1',
      PATH: '/bin',
    };
    assert.equal(takeNotifyVariables(env)['NOTIFY_SOCKET'], '/run/x');
    assert.deepEqual(env, { PATH: '/bin' });
  });
});
