import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgeClock, judgeHealth } from '../../src/cli/doctor/broker/health.ts';
import { type Check, conclude } from '../../src/cli/doctor/report.ts';

const nowhere = { checks: [] };

function health(status: number, body: unknown): Check {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return judgeHealth(status, text, '192.0.2.1:20443', nowhere);
}

describe('judgeHealth()', () => {
  it('takes what /readyz says in any form', () => {
    assert.equal(health(200, { ready: true, checks: { store: { ok: true } } }).status, 'ok');
    assert.equal(health(404, 'Not found').status, 'skip');
    assert.equal(health(200, { ready: true }).status, 'ok');
    const warned = { ready: true, checks: { backups: { ok: true, warning: 'the last one failed' } } };
    assert.deepEqual(
      [health(200, warned).status, health(200, warned).says],
      ['warn', 'backups: the last one failed'],
    );
    for (const warnings of [['lines were lost'], [{ id: 'lines', message: 'lines were lost' }]]) {
      const { status, says } = health(200, { ready: true, warnings });
      assert.deepEqual([status, says], ['warn', 'lines were lost']);
    }
    const unready = health(503, { ready: false });
    assert.deepEqual([unready.status, unready.problem?.cause], ['fail', 'broker_unwell']);
  });

  const causes: Readonly<Record<string, string>> = {
    'no room on the disk for the registry: ENOSPC: no space left on device, write': 'disk_full',
    'the registry is read-only since 2026-01-01: EIO: i/o error, fdatasync; restart the broker': 'read_only',
    'does not go on: the backups; restart the broker': 'broker_unwell',
  };
  for (const [reason, cause] of Object.entries(causes)) {
    it(`names ${cause}`, () => {
      const check = health(503, { ready: false, checks: { store: { ok: false, reason } } });
      assert.equal(check.problem?.cause, cause);
      assert.ok(check.problem?.message.includes(reason));
    });
  }
});

describe('judgeClock()', () => {
  const at = Date.parse('2026-01-31T12:00:00Z');
  const judge = (header: string | undefined): Check => judgeClock(header, at, at);

  it('takes seconds for nothing, half a minute for a note, more for wrong', () => {
    assert.equal(judge('Sat, 31 Jan 2026 12:00:02 GMT').status, 'ok');
    assert.equal(judge('Sat, 31 Jan 2026 11:59:30 GMT').status, 'warn');
    const ahead = judge('Sat, 31 Jan 2026 13:00:00 GMT');
    assert.equal(ahead.problem?.cause, 'clock_off');
    assert.match(
      ahead.problem?.message ?? '',
      /60 min ahead .* 2026-01-31T12:00:00Z, there 2026-01-31T13:00:00Z/,
    );
    assert.match(judge('Sat, 31 Jan 2026 11:00:00 GMT').says, /60 min behind/);
  });

  it('says where a broker does not tell', () => {
    assert.equal(judge(undefined).status, 'skip');
    assert.equal(judge('soon').status, 'skip');
  });
});

describe('conclude()', () => {
  const check = (id: Check['id'], cause: NonNullable<Check['problem']>['cause']): Check => ({
    id,
    status: 'fail',
    says: '',
    problem: { cause, message: '', advice: '', where: 'here' },
  });
  const end = { broker: undefined, tookMs: 0 };

  it('names the first part on the way that fails, and ends as it does', () => {
    const { problem, exitCode, checks } = conclude(
      [check('clock', 'clock_off'), check('access_key', 'wrong_key'), check('name', 'wrong_name')],
      end,
    );
    assert.deepEqual([problem?.cause, exitCode], ['wrong_key', 5]);
    assert.deepEqual(
      checks.map(({ id }) => id),
      ['access_key', 'name', 'clock'],
    );
  });

  it("takes this host's own trouble for the reason why its broker does not answer", () => {
    const local = check('host_disk', 'disk_full');
    assert.equal(conclude([check('discovery', 'no_broker'), local], end).exitCode, 1);
    assert.equal(conclude([check('discovery', 'udp_blocked'), local], end).exitCode, 6);
  });
});
