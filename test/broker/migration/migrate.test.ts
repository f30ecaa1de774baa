import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import type { AddressInfo } from 'node:net';
import { migrateRegistry } from '../../../src/broker/migration/migrate.ts';
import type { Migrated, MigrationOptions } from '../../../src/broker/migration/migration.ts';
import { atEnd } from '../../support/cleanup.ts';
import { askEtcd, type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';

const skip = lacking('etcd');
const ID = '0123456789abcdef';
let prefixes = 0;

interface Content {
  readonly _store: { readonly driver: string };
  readonly services: Readonly<Record<string, unknown>>;
}

describe('the migration of a registry', { skip, timeout: 120_000 }, () => {
  let etcd: EtcdCluster;
  let endpoint: string;

  before(async () => {
    etcd = await startEtcd({ members: 1 });
    endpoint = etcd.endpoints[0] ?? '';
  });

  /** A configuration file with one entry, and how it is moved. */
  function begin(at: string = endpoint): {
    file: string;
    prefix: string;
    read(): Content;
    edit(change: object): void;
    move(to: 'etcd' | 'file', more?: Partial<MigrationOptions>): Promise<Migrated>;
  } {
    const dir = tempDir();
    const file = path.join(dir, 'bpbroker.json');
    const prefix = `/rules/${process.pid}-${prefixes++}/`;
    const read = (): Content => JSON.parse(readFileSync(file, 'utf8')) as Content;
    writeFileSync(
      file,
      JSON.stringify({
        _store: { driver: 'file', endpoints: [at], prefix },
        services: { foo: { _str: 'x', last_write_ts: 1, last_write_ip: '10.0.0.1' } },
        _registry: { id: ID, revision: 7, entries: { foo: { revision: 3 } } },
      }),
    );
    return {
      file,
      prefix,
      read,
      edit: (change) => writeFileSync(file, JSON.stringify({ ...read(), ...change })),
      move: (to, more = {}) =>
        migrateRegistry({
          file,
          backupDir: path.join(dir, 'backups'),
          to,
          onProgress: () => undefined,
          signal: new AbortController().signal,
          ...more,
        }),
    };
  }

  /** A way to etcd on which a transaction that says so is carried out, and its answer lost, with all that come after it. */
  async function wayThatLoses(text: string): Promise<string> {
    let isLost = false;
    const server = createServer((request, response) => {
      void (async () => {
        let body = '';
        for await (const piece of request) body += String(piece);
        if (isLost) return;
        isLost = valuesIn(body).some((value) => value.includes(text));
        const answer = await fetch(endpoint + (request.url ?? ''), { method: 'POST', body });
        const given = await answer.text();
        if (!isLost) response.writeHead(answer.status).end(given);
      })();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it("is refused where 'etcd' was written into the file by hand, and the entries are in the file still", async () => {
    const { read, edit, move } = begin();
    const { _store: store } = read();
    edit({ _store: { ...store, driver: 'etcd' } });
    await assert.rejects(move('etcd'), {
      code: 'invalid_config',
      message: /'_store.driver' of .* is 'etcd' already, .*set it to 'file', and run this again/,
    });
    edit({ _store: { ...store, driver: 'file' } });
    const { outcome, entries } = await move('etcd');
    assert.deepEqual([outcome, entries], ['moved', 1]);
    assert.equal((await move('etcd')).outcome, 'already');
  });

  it('says that no registry is in etcd where the file names it, and where the files from before are', async () => {
    const { file, prefix, read, move } = begin();
    await move('etcd');
    const [url, text] = [endpoint, (key: string): string => btoa(prefix + key)];
    await askEtcd(url, '/v3/kv/deleterange', { key: text('e/'), range_end: text('n') });
    await assert.rejects(move('etcd'), {
      code: 'not_found',
      message: new RegExp(`^There is no registry below '${prefix}' in etcd, .* are in .*backups; `),
    });
    assert.equal(read()._store.driver, 'etcd');
    writeFileSync(file, JSON.stringify({ _store: read()._store }));
    await assert.rejects(move('etcd'), { code: 'not_found' });
  });

  it('keeps the mark of a move into etcd that did not end, so that a later one goes on with it', async () => {
    const { file, prefix, read, move } = begin();
    await assert.rejects(move('etcd', { signal: AbortSignal.abort(new Error('enough')) }));
    assert.match(await registryAt(prefix), /"state":"filling"/);
    const { outcome, notes } = await move('file');
    assert.equal(outcome, 'already');
    assert.match(notes.join('\n'), /an unfinished copy .*--from file --to etcd; .*\.migration/);
    assert.ok(existsSync(`${file}.migration`));
    assert.equal(read()._store.driver, 'file');
    assert.equal((await move('etcd')).outcome, 'moved');
    assert.ok(!existsSync(`${file}.migration`));
  });

  it('takes no other registry out of etcd than the one that the file leads to', async () => {
    const { prefix, read, move } = begin();
    await move('etcd', { prefix });
    const other = begin();
    await other.move('etcd');
    await assert.rejects(move('file', { prefix: other.prefix }), {
      code: 'invalid_config',
      message: /is below '\/rules\/.*' in etcd, and --prefix names .*leave the option out/,
    });
    assert.ok(!(await registryAt(other.prefix)).includes('closed'));
    assert.equal(read()._store.driver, 'etcd');
    assert.equal((await move('file', { prefix })).outcome, 'moved');
  });

  it('overwrites no edit that was made meanwhile, in either direction', async () => {
    const { read, edit, move } = begin();
    const editing = (ping: string) => (): void => edit({ ping: { of: ping } });
    await assert.rejects(move('etcd', { onProgress: editing('first') }), { message: /was edited while/ });
    assert.deepEqual([read()._store.driver, Reflect.get(read(), 'ping')], ['file', { of: 'first' }]);
    assert.equal((await move('etcd')).outcome, 'moved');
    assert.deepEqual(Reflect.get(read(), 'ping'), { of: 'first' });
    await assert.rejects(move('file', { onProgress: editing('second') }), { message: /was edited while/ });
    assert.deepEqual([read()._store.driver, Reflect.get(read(), 'ping')], ['etcd', { of: 'second' }]);
    assert.equal((await move('file')).outcome, 'moved');
    assert.deepEqual(Object.keys(read().services), ['foo']);
  });

  it('says how far it has come when etcd is lost after the configuration was switched', async () => {
    const out = begin(await wayThatLoses('"state":"moved"'));
    assert.equal((await out.move('etcd')).outcome, 'moved');
    await assert.rejects(out.move('file'), {
      code: 'unavailable',
      message:
        /^The registry is in .*bpbroker\.json now, and etcd does not know it yet \(.*\): run this again$/,
    });
    assert.deepEqual([out.read()._store.driver, Object.keys(out.read().services)], ['file', ['foo']]);
    assert.match(await registryAt(out.prefix), /"state":"moved"/);
    // What opens it names no state. A file without a checksum goes on one revision later.
    const into = begin(await wayThatLoses('"layout":2,"revision":8}'));
    await assert.rejects(into.move('etcd'), {
      code: 'unavailable',
      message:
        /^The configuration names etcd now, where the registry is not open yet \(.*\): run this again$/,
    });
    assert.equal(into.read()._store.driver, 'etcd');
  });

  async function registryAt(prefix: string): Promise<string> {
    const range = { key: btoa(`${prefix}m/registry`) };
    const { kvs = [] } = (await askEtcd(endpoint, '/v3/kv/range', range)) as { kvs?: { value?: string }[] };
    return atob(kvs[0]?.value ?? '');
  }
});

/** What a transaction puts, as text. */
function valuesIn(body: string): string[] {
  const { success = [] } = JSON.parse(body) as { success?: { request_put?: { value?: string } }[] };
  return success.map(({ request_put: put }) => atob(put?.value ?? ''));
}
