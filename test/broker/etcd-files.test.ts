import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { openBroker } from '../../src/broker/broker.ts';
import { createAuthority } from '../support/network/authority.ts';
import { tempDir } from '../support/temp.ts';

describe('a file that _store names for etcd', () => {
  for (const missing of ['ca', 'cert', 'key'])
    it(`is named with its option where it is missing: ${missing}`, async () => {
      const dir = tempDir();
      const authority = await createAuthority();
      const own = await authority.sign({ names: ['broker'], isClient: true });
      const files = { ca: authority.cert, ...own };
      const named = Object.entries(files).map(([option, text]): [string, string] => {
        const file = path.join(dir, `${option}.pem`);
        if (option !== missing) writeFileSync(file, text, { mode: 0o600 });
        return [option, file];
      });
      const store = { driver: 'etcd', endpoints: ['https://127.0.0.1:1'], ...Object.fromEntries(named) };
      const file = path.join(dir, 'bpbroker.json');
      writeFileSync(file, JSON.stringify({ _store: store }), { mode: 0o600 });
      const at = path.join(dir, `${missing}.pem`);
      await assert.rejects(openBroker({ file }), {
        code: 'invalid_config',
        message: new RegExp(`^_store\\.${missing}: cannot read ${at}: `),
      });
    });
});
