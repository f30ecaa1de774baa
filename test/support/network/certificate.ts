import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { type Certificate, loadCertificate } from '../../../src/broker/certificate.ts';
import { defaults } from '../../../src/config/schema.ts';
import { silentLogger } from '../../../src/protocol/logger.ts';
import { tempDir } from '../temp.ts';

/** A certificate as a broker makes it at its first start. */
export function makeCertificate(): Promise<Certificate> {
  const dir = path.join(tempDir(), 'etc');
  mkdirSync(dir);
  return loadCertificate(defaults.api, path.join(dir, 'bpbroker.json'), silentLogger);
}
