import { closeSync, openSync, writeSync } from 'node:fs';
import type { JsonObject } from '../../../src/protocol/formats/data.ts';
import { documentText } from '../../../src/store/file/document/document.ts';
import { createEntryIndex } from '../../../src/store/memory/entry-index.ts';

export interface RegistryFile {
  readonly file: string;
  readonly count: number;
  readonly nameOf: (i: number) => string;
  readonly dataOf: (i: number) => JsonObject;
  /** Default: any free port. */
  readonly options?: JsonObject;
}

/**
 * Writes the configuration file of a broker that holds so many entries, as the broker would. Returns its
 * bytes.
 */
export function writeRegistry({ file, count, nameOf, dataOf, options }: RegistryFile): number {
  const index = createEntryIndex();
  for (let i = 0; i < count; i++) {
    const revision = i + 1;
    const name = nameOf(i);
    const lastWriteIp = `10.0.${(i >> 8) % 256}.${i % 256}`;
    const entry = { name, data: dataOf(i), lastWriteTs: 1_800_000_000 + i, lastWriteIp, revision };
    index.apply({ type: 'put', name, revision, entry });
  }
  const own = options ?? { api: { listen_port: 0, listen_ip: '127.0.0.1' }, ping: {}, services: {} };
  const handle = openSync(file, 'w', 0o600);
  let bytes = 0;
  for (const text of documentText(own, { id: '0123456789abcdef', since: 0 }, index.snapshot())) {
    bytes += writeSync(handle, text);
  }
  closeSync(handle);
  return bytes;
}
