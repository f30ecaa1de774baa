import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tempDir } from '../../support/temp.ts';

/** A fingerprint that no broker has. */
export const other: string = `sha256:${'0'.repeat(64)}`;

/** A home whose known_brokers holds `content`. */
export function homeWith(content: string | Uint8Array): { home: string; file: string } {
  const home = tempDir();
  const file = path.join(home, 'config', 'bpbroker', 'known_brokers');
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, content);
  return { home, file };
}
