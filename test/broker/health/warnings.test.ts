import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLogCheck } from '../../../src/broker/health/checks/log-lines.ts';
import { createWarnings } from '../../../src/broker/health/warnings.ts';

describe('createWarnings()', () => {
  it('says since when each has been there, whatever its words are by now', () => {
    let now = Date.UTC(2026, 0, 1);
    const warnings = createWarnings(() => now);
    const first = warnings.of({ disk: { ok: true, warning: '9 MiB are free' }, store: { ok: true } });
    now += 60_000;
    const second = warnings.of({
      disk: { ok: true, warning: '8 MiB are free' },
      backups: { ok: true, warning: 'the last one failed' },
    });
    assert.deepEqual(first, [{ id: 'disk', message: '9 MiB are free', since: '2026-01-01T00:00:00.000Z' }]);
    assert.deepEqual(second, [
      { id: 'disk', message: '8 MiB are free', since: '2026-01-01T00:00:00.000Z' },
      { id: 'backups', message: 'the last one failed', since: '2026-01-01T00:01:00.000Z' },
    ]);
  });

  it('begins anew once it was gone, or has become a failure', () => {
    let now = 0;
    const warnings = createWarnings(() => now);
    const low = { disk: { ok: true, warning: 'low' } };
    warnings.of(low);
    assert.deepEqual(warnings.of({ disk: { ok: true } }), []);
    now = 1000;
    assert.equal(warnings.of(low)[0]?.since, '1970-01-01T00:00:01.000Z');
    assert.deepEqual(warnings.of({ disk: { ok: false, reason: 'full', warning: 'low' } }), []);
    now = 2000;
    assert.equal(warnings.of(low)[0]?.since, '1970-01-01T00:00:02.000Z');
  });
});

describe('createLogCheck()', () => {
  it('warns for an hour after lines were lost, and says how many', () => {
    let lost = 0;
    let now = 0;
    const check = createLogCheck(
      () => lost,
      () => now,
    );
    assert.deepEqual(check(), { ok: true });
    lost = 1;
    assert.match(check().warning ?? '', /^1 line of the log/);
    now = 3_000_000;
    lost = 12;
    assert.match(check().warning ?? '', /^12 lines/);
    now = 6_500_000;
    assert.match(check().warning ?? '', /^12 lines/);
    now = 6_700_000;
    assert.deepEqual(check(), { ok: true });
  });

  it('has nothing to say where nobody counts', () => {
    assert.deepEqual(createLogCheck(() => undefined)(), { ok: true });
  });
});
