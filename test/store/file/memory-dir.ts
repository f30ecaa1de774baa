import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { atEnd } from '../../support/cleanup.ts';

/**
 * A new folder for what opens a registry thousands of times and has no stake in durability: in memory where the system
 * has such a place. Removed at the end.
 */
export function memoryDir(): string {
  const dir = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'bpbroker-test-'));
  atEnd(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}
