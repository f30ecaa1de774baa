import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { openBroker } from '../../src/broker/broker.ts';
import { startResponder } from '../../src/broker/discovery/responder.ts';
import { createSelfQuery } from '../../src/broker/health/checks/self-query.ts';
import { watchHealth } from '../../src/broker/health/self-check.ts';
import { defaults } from '../../src/config/schema.ts';
import type { FileStore } from '../../src/store/file/file-store.ts';
import { startHealth } from '../../src/broker/health/health.ts';
import { type Logger, silentLogger } from '../../src/protocol/logger.ts';
import { createScheduleMonitor } from '../../src/protocol/schedule-monitor.ts';
import { createExpiry } from '../../src/store/memory/expiry.ts';
import { put } from '../store/support.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait.ts';

/** TypeScript accepts a function that returns a promise as one that returns nothing. */
type Told = () => void;

const thrower = (): never => {
  throw new Error('a log that fails');
};
const rejecter: () => unknown = async (): Promise<never> => thrower();

describe('a loop goes on whatever becomes of one of its rounds', () => {
  for (const [what, fail] of [
    ['throws', thrower],
    ['rejects', rejecter],
  ] as const satisfies [string, Told][]) {
    it(`backups and self-checks, with a log and an onAlive that ${what === 'throws' ? 'throw' : 'reject'}`, async (t) => {
      const dir = tempDir();
      const log: Logger = { debug: fail, info: fail, warn: fail, error: fail };
      let alive = 0;
      const broker = await openBroker({
        file: path.join(dir, 'b.json'),
        log,
        config: {
          api: { listen_port: 0, listen_ip: '127.0.0.1' },
          _config: { backup_freq_secs: 0.05, backup_retain_n: 50 },
          _global: { healthcheck_freq_sec: 0.05 },
        },
        onAlive: () => {
          alive++;
          return fail();
        },
      });
      t.after(() => broker.close());
      await broker.listen();
      for (const name of ['a', 'b', 'c']) {
        const { revision } = await broker.store.mutate(name, put('x'));
        await waitFor(`backup ${revision}`, () =>
          readdirSync(path.join(dir, 'backups')).some((file) => file.includes(`00${revision}.json`)),
        );
      }
      const before = alive;
      await waitFor('further self-checks', () => alive > before + 2);
      const readiness = (await (await broker.app.request('/readyz')).json()) as { ready: boolean };
      assert.equal(readiness.ready, true);
    });
  }

  it('self-checks, with a live check that throws', async () => {
    let rounds = 0;
    const health = startHealth({
      checks: { part: () => void rounds++ },
      live: { broken: thrower },
      everyMs: () => 5,
      log: silentLogger,
    });
    await waitFor('rounds', () => rounds > 3);
    const { ready, checks } = health.readiness();
    assert.deepEqual([ready, checks['broken']], [false, { ok: false, reason: 'a log that fails' }]);
    health.close();
  });

  it('the search for new interfaces, when they cannot be listed', async (t) => {
    let asked = 0;
    t.mock.method(os, 'networkInterfaces', () => {
      asked++;
      throw new Error('uv_interface_addresses');
    });
    const { syncBuiltinESMExports } = await import('node:module');
    syncBuiltinESMExports();
    const responder = await startResponder({
      listenIp: '',
      port: 0,
      has: async () => false,
      log: silentLogger,
      rescanMs: 5,
    });
    await waitFor('further rounds', () => asked > 3);
    await responder.close();
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });

  it('the end of a lifetime, when it cannot be asked for', async () => {
    let asked = 0;
    const expiry = createExpiry(() => {
      asked++;
      return thrower();
    });
    const entry = { name: 'a', data: { x: 1 }, lastWriteTs: 1, lastWriteIp: '', revision: 1, ttlMs: 1 };
    expiry.track(entry);
    await waitFor('the end', () => asked > 0);
    expiry.close();
  });
});

describe('a loop that has died', () => {
  it('makes the broker unready, and is named', () => {
    const health = watchHealth({
      file: 'b.json',
      store: {
        health: () => ({ writable: true }),
        diskProblem: async () => undefined,
        rewriteProblem: () => undefined,
      } as unknown as FileStore,
      backups: { problem: () => undefined },
      config: () => defaults,
      schedules: { ...createScheduleMonitor(), overdue: () => ['backups'] },
      log: silentLogger,
      selfQuery: createSelfQuery(),
      onAlive: undefined,
      checkEveryMs: Infinity,
      listeners: () => undefined,
      lostLines: () => undefined,
      audit: () => undefined,
    });
    const { ready, checks } = health.readiness();
    assert.equal(ready, false);
    assert.deepEqual(checks['schedules'], {
      ok: false,
      reason: 'does not go on: backups; restart the broker',
    });
    health.close();
  });

  it('shows once its round is overdue, by its name, and no longer when it goes on', async () => {
    const schedules = createScheduleMonitor({ graceMs: 5, confirmMs: 5 });
    const schedule = schedules.of('backups');
    schedules.of('at rest').rest();
    schedule.expect(60_000);
    assert.deepEqual(schedules.overdue(), []);
    schedule.expect(1);
    await waitFor('it to show', () => schedules.overdue().length > 0);
    assert.deepEqual(schedules.overdue(), ['backups']);
    schedule.expect(60_000);
    assert.deepEqual(schedules.overdue(), []);
  });

  it('does not show for a process that was stopped, or a host that slept, before its timers come', async () => {
    const schedules = createScheduleMonitor({ graceMs: 0, confirmMs: 60_000 });
    const schedule = schedules.of('backups');
    schedule.expect(-10_000);
    assert.deepEqual(schedules.overdue(), []);
    schedule.expect(60_000);
    assert.deepEqual(schedules.overdue(), []);
  });
});
