import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { atEnd } from './cleanup.ts';

/** A new folder that is removed when the tests of this file have ended; may be called anywhere, hooks too. */
export function tempDir(prefix = 'bpbroker-test-'): string {
  const dir = mkdtempSync(path.join(tmpdir(), prefix));
  atEnd(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}
