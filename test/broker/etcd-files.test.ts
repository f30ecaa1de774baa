import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { openBroker } from '../../src/broker/broker.ts';
import { atEnd } from '../support/cleanup.ts';
import { createAuthority } from '../support/network/authority.ts';
import { startEtcd } from '../support/registry/etcd.ts';
import { lacking } from '../support/programs/tools.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait.ts';

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

describe('a start over etcd', { skip: lacking('etcd'), timeout: 60_000 }, () => {
  it('leaves no watch open where etcd is lost right after the registry was read', async () => {
    const { endpoints } = await startEtcd({ members: 1 });
    const watches = { made: 0, open: 0 };
    let isLost = false;
    const way = createServer((request, response) => {
      const isWatch = request.url === '/v3/watch';
      if (isLost && !isWatch) {
        request.socket.destroy();
        return;
      }
      if (isWatch) {
        watches.made++;
        watches.open++;
      }
      const onwards = ask((endpoints[0] ?? '') + (request.url ?? ''), { method: 'POST' }, (answer) => {
        answer.on('error', () => response.destroy()).pipe(response);
      });
      onwards.on('error', () => response.destroy());
      response.on('close', () => {
        if (isWatch) watches.open--;
        onwards.destroy();
      });
      request.on('data', (text: Buffer) => {
        // The first look at its revision is the last step of the opening.
        isLost ||= text.includes('"keys_only":true');
      });
      request.pipe(onwards);
    });
    way.listen(0, '127.0.0.1');
    await once(way, 'listening');
    atEnd(() => {
      way.closeAllConnections();
      way.close();
    });
    const file = path.join(tempDir(), 'bpbroker.json');
    const { port } = way.address() as AddressInfo;
    const store = { driver: 'etcd', endpoints: [`http://127.0.0.1:${port}`] };
    writeFileSync(file, JSON.stringify({ _store: store }), { mode: 0o600 });
    await assert.rejects(openBroker({ file }), { code: 'unavailable' });
    assert.ok(watches.made > 0);
    await waitFor('the watch to end', () => watches.open === 0, 5000);
  });
});
