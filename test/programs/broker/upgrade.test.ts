import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../../build/root.ts';
import type { BrokerClient } from '../../../src/client/client.ts';
import type { JsonObject } from '../../../src/protocol/formats/data.ts';
import { readBackup } from '../../../src/store/file/backup/backup-text.ts';
import { type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { backUp } from '../backups/backup-support.ts';
import { bpbroker, connectTo, reference } from '../support.ts';

/**
 * Files of earlier versions, written by their real brokers: `1.0.0` is what `kill -9` left of one, a file and two
 * journals; `0.22` is the original's, written when it ended.
 */
function dataOf(version: string): string {
  const dir = tempDir();
  const from = path.join(root, 'test', 'fixtures', version);
  for (const name of readdirSync(from)) copyFileSync(path.join(from, name), path.join(dir, name));
  return dir;
}

type Expected = Record<string, [revision: number, data: string | JsonObject, ip?: string]>;

async function startOn(
  dir: string,
  accessKey: string,
): Promise<{ broker: RunningBroker; client: BrokerClient }> {
  const broker = await startBroker(reference, {
    dir,
    args: ['--listen-port', '0', '--listen-ip', '127.0.0.1'],
  });
  return { broker, client: await connectTo(broker, { accessKey }) };
}

/** All entries, now and after a clean stop and a new start; then the broker is stopped. */
async function assertEntries(dir: string, accessKey: string, expected: Expected): Promise<void> {
  for (const round of ['first start', 'second start']) {
    const { broker, client } = await startOn(dir, accessKey);
    const { entries } = await client.list();
    const found = Object.fromEntries(
      entries.map(({ name, revision, data, lastWriteIp }) => [name, [revision, data, lastWriteIp]]),
    );
    const wanted = Object.entries(expected).map(([name, [revision, data, ip = '127.0.0.1']]) => [
      name,
      [revision, data, ip],
    ]);
    assert.deepEqual(found, Object.fromEntries(wanted), round);
    client.close();
    assert.equal((await broker.stop()).code, 0);
  }
}

const expected100: Expected = {
  '10': [7, 'ten'],
  foo: [11, 'bar again'],
  'node/ünïcode-😀': [5, 'held as a string'],
  renewed: [3, 'lease'],
  'shop-cluster1': [
    8,
    { db: '10.0.0.5', port: 5432, nested: { list: [1, 2.5, null, true, 'ü😀'] }, replica: '10.0.0.6' },
  ],
  'lease/short': [10, { owner: '10.0.0.7' }],
  empty: [12, ''],
  late: [13, { written: 'after the last rewrite', deep: { a: { b: { c: [] } } } }],
  'node/web 2': [15, 'z'.repeat(3000)],
  counter: [20, { n: 5 }],
};

describe('the data of 1.0.0, as kill -9 left it', () => {
  it('loads with all entries, their revisions and lifetimes', async () => {
    const dir = dataOf('1.0.0');
    await assertEntries(dir, 'old secret', expected100);
    const { document } = await readBackup((await backUp(dir)).stdout.trim());
    const lifetimes = [...document.entries.values()].flatMap(({ name, ttlMs }) =>
      ttlMs === undefined ? [] : [[name, ttlMs]],
    );
    assert.deepEqual(Object.fromEntries(lifetimes), { renewed: 3_600_000, 'lease/short': 7_200_000 });
  });

  it('loads with its options: keys, unknown sections, its own settings', async () => {
    const dir = dataOf('1.0.0');
    const { broker, client } = await startOn(dir, 'new secret');
    assert.equal((await client.get('foo')).data, 'bar again');
    assert.equal((await broker.client(['service', 'get', '--name', 'foo'])).code, 5);
    client.close();
    await broker.stop();
    const written = JSON.parse(readFileSync(path.join(dir, 'bpbroker.json'), 'utf8')) as JsonObject;
    assert.deepEqual(written['_config'], { backup_freq_secs: 1800, backup_retain_n: 12 });
    assert.deepEqual(written['mine'], { nested: { list: [1, 'ü'] } });
    assert.deepEqual(written['ossec'], { _access_key: 'ossec secret', manager: '10.0.0.9' });
  });

  it('lets a watch resume from before the crash', async () => {
    const dir = dataOf('1.0.0');
    const { broker, client } = await startOn(dir, 'old secret');
    const seen: string[] = [];
    for await (const change of client.watch({ after: 5 })) {
      const { type, revision } = change;
      seen.push(`${revision} ${type} ${type === 'reset' ? '' : change.name}`);
      if (revision === 20) break;
    }
    assert.deepEqual(seen.slice(0, 6), [
      '6 put gone',
      '7 put 10',
      '8 put shop-cluster1',
      '9 delete gone',
      '10 put lease/short',
      '11 put foo',
    ]);
    assert.equal(seen.length, 15);
    client.close();
    await broker.kill();
  });

  it('can be backed up before the new version has ever run on it', async () => {
    const dir = dataOf('1.0.0');
    const before = readdirSync(dir);
    const { code, stdout } = await backUp(dir);
    assert.equal(code, 0);
    assert.deepEqual(
      readdirSync(dir).filter((name) => name !== 'backups'),
      before,
    );
    const { document } = await readBackup(stdout.trim());
    assert.deepEqual([document.revision, document.entries.size], [20, Object.keys(expected100).length]);
  });
});

describe('the data of the original 0.22', () => {
  it('loads with all entries and options', async () => {
    const dir = dataOf('0.22');
    await assertEntries(dir, 'secret', {
      foo: [1, 'bar'],
      foo3: [2, { key: 'special data', new_key: 'new data' }, '10.0.0.7'],
      db: [3, { host: '10.0.0.5', ports: [5432, 5433], nested: { a: { b: null } }, on: true }, '10.0.0.7'],
      straße: [4, 'München 😀'],
      empty: [5, ''],
    });
    const written = JSON.parse(readFileSync(path.join(dir, 'bpbroker.json'), 'utf8')) as Record<
      string,
      JsonObject
    >;
    assert.deepEqual(written['ossec'], { _access_key: 'ossec secret', manager: '10.0.0.9' });
    assert.equal(written['services']?.['_access_key'], 'secret');
  });
});

describe('data of a version yet to come', () => {
  it('is refused, and left as it is', async () => {
    const dir = dataOf('1.0.0');
    const file = path.join(dir, 'bpbroker.json');
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace('"revision": 9,', '"format": 2,\n    "revision": 9,'),
    );
    const before = readFileSync(file, 'utf8');
    const { code, stderr } = await bpbroker(dir, ['start', '--config', file]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /"_registry" holds "format", which this version does not know: a newer bpbroker wrote it/,
    );
    assert.equal(readFileSync(file, 'utf8'), before);
  });
});
