import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { createTrailLock } from '../../../src/broker/audit/trail-lock.ts';
import type { AuditConfig } from '../../../src/config/schema.ts';
import { silentLogger } from '../../../src/protocol/logger.ts';
import { tempDir } from '../../support/temp.ts';

describe('take()', () => {
  it('keeps the former file alone reserved when what it was taken for fails', async () => {
    const dir = tempDir();
    const trail = (name: string): AuditConfig => ({ to: 'file', file: path.join(dir, name) });
    const one = createTrailLock(path.join(dir, 'one.json'), silentLogger);
    const other = createTrailLock(path.join(dir, 'other.json'), silentLogger);
    await one.take(trail('a'));
    await assert.rejects(
      one.take(trail('b'), () => Promise.reject(new Error('a port is taken'))),
      /a port is taken/,
    );
    await other.take(trail('b'));
    await assert.rejects(other.take(trail('a')), /Another broker.* writes the audit trail/);
    await one.release();
    await other.take(trail('a'));
    await other.release();
  });
});
