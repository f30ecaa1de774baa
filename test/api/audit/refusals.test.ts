import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createKeyNames } from '../../../src/api/audit/key-names.ts';
import type { AuditRecord } from '../../../src/api/audit/record.ts';
import { createRefusals, refusalLimits } from '../../../src/api/audit/refusals.ts';
import { waitFor } from '../../support/wait.ts';

const refusal = (source: string, outcome = 'access_denied'): AuditRecord => ({
  time: '',
  event: 'refusal',
  source,
  outcome,
});

describe('row "audit": what was refused', () => {
  it('has a line each up to the limit of its source, then a count by outcome', async () => {
    const records: AuditRecord[] = [];
    const write = async (record: AuditRecord): Promise<number> => records.push(record);
    const refusals = createRefusals(write, { ...refusalLimits, perSource: 3 });
    for (let i = 0; i < 10; i++) await refusals.record(refusal('192.0.2.1'));
    for (let i = 0; i < 5; i++) await refusals.record(refusal('192.0.2.1', 'too_many_requests'));
    await refusals.record(refusal('192.0.2.2'));
    assert.equal(records.length, 4);
    await refusals.flush();
    const { event, source, count, outcomes } = records[4] ?? { event: '' };
    assert.deepEqual(
      { event, source, count, outcomes },
      {
        event: 'refusals',
        source: '192.0.2.1',
        count: 12,
        outcomes: { access_denied: 7, too_many_requests: 5 },
      },
    );
    assert.equal(records.length, 5);
    await refusals.record(refusal('192.0.2.1'));
    assert.equal(records.length, 6, 'a new window has lines again');
    await refusals.flush();
    assert.equal(records.length, 6, 'nothing was counted');
  });

  it('is bounded for all sources together, and counts those of too many together', async () => {
    const records: AuditRecord[] = [];
    const write = async (record: AuditRecord): Promise<number> => records.push(record);
    const refusals = createRefusals(write);
    for (let i = 0; i < 50_000; i++) await refusals.record(refusal(`2001:db8:${(i % 5000).toString(16)}::1`));
    assert.equal(records.length, refusalLimits.overall);
    await refusals.flush();
    const counts = records.slice(refusalLimits.overall);
    assert.equal(counts.length, refusalLimits.maxSources + 1);
    const sum = counts.reduce((all, { count = 0 }) => all + count, 0);
    assert.equal(sum + refusalLimits.overall, 50_000);
    assert.ok(counts.some(({ source }) => source === 'others'));
  });

  it('is counted at the end of its window', async () => {
    const records: AuditRecord[] = [];
    const write = async (record: AuditRecord): Promise<number> => records.push(record);
    const refusals = createRefusals(write, { ...refusalLimits, perSource: 1, windowMs: 30 });
    for (let i = 0; i < 3; i++) await refusals.record(refusal('192.0.2.1'));
    const kept = setInterval(() => undefined, 1000);
    await waitFor('the count', () => records.length === 2);
    clearInterval(kept);
    assert.equal(records[1]?.count, 2);
  });
});

describe('the name of a key', () => {
  it('is the start of its SHA-256 for a key that nobody can guess', () => {
    const name = createKeyNames();
    assert.equal(name('0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'), 'sha256:a8ae6e6e');
  });

  it('is a mark of this run for any other, by which nothing can be guessed', () => {
    const [name, other] = [createKeyNames(), createKeyNames()];
    for (const weak of ['secret', 'correct horse', 'geheim-gehéim-geheim-geheim', 'a'.repeat(64)]) {
      assert.match(name(weak), /^mark:[0-9a-f]{8}$/);
      assert.equal(name(weak), name(weak));
      assert.notEqual(name(weak), other(weak));
    }
    assert.notEqual(name('secret'), name('Secret'));
  });
});
