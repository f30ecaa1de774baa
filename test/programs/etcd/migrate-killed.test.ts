import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createServer, request as ask, type Server } from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AddressInfo } from 'node:net';
import { etcdStore } from '../../../src/store/etcd/etcd-store.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import {
  contentOf,
  fileIn,
  keysAt,
  migration,
  newPrefix,
  registryAt,
  writeFileOf,
} from './migrate-support.ts';
import { bpbroker, connectTo, reference, type Running, skipOf, start } from '../support.ts';

const skip = lacking('etcd') || skipOf(reference);
const ENTRIES = 6;

/**
 * A way to a member that kills the program it serves: after the request of that number was done, and before
 * it gets the answer.
 */
interface DeadlyWay {
  readonly url: string;
  /** How many requests there were since. */
  readonly asked: number;
  kill(requests: number, victim: () => Running | undefined): void;
  close(): void;
}

async function deadlyWayTo(member: string): Promise<DeadlyWay> {
  let [asked, last] = [0, Infinity];
  let victim: () => Running | undefined = () => undefined;
  const server: Server = createServer((request, response) => {
    const at = ++asked;
    if (at > last) return;
    const onwards = ask(member + (request.url ?? ''), { method: 'POST' }, (answer) => {
      if (at === last) answer.resume().on('end', () => victim()?.child.kill('SIGKILL'));
      else answer.on('error', () => response.destroy()).pipe(response);
    });
    // A watch ends with the broker that has it.
    response.on('close', () => onwards.destroy());
    onwards.on('error', () => response.destroy());
    request.pipe(onwards);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get asked() {
      return asked;
    },
    kill(requests, of) {
      [asked, last, victim] = [0, requests, of];
    },
    close: () => void server.close(),
  };
}

describe('bpbroker migrate, killed after each of its requests to etcd', { skip, timeout: 240_000 }, () => {
  let cluster: EtcdCluster;
  let way: DeadlyWay;

  before(async () => {
    cluster = await startEtcd({ members: 1 });
    way = await deadlyWayTo(cluster.endpoints[0] ?? '');
  });
  after(() => way.close());

  /** Runs a migration that is killed after so many requests; whether it was. */
  async function cut(
    dir: string,
    to: 'etcd' | 'file',
    more: readonly string[],
    requests: number,
  ): Promise<boolean> {
    let running: Running | undefined;
    way.kill(requests, () => running);
    running = start([...reference.bpbroker, ...migration(dir, to, more)], { cwd: dir, env: cleanEnv(dir) });
    const ended = await running.ended;
    way.kill(Infinity, () => undefined);
    if (ended === 'SIGKILL') return true;
    assert.equal(ended, 0, running.stderr());
    return false;
  }

  /** Nobody is served what is not whole: a broker starts, and has everything, or does not start, and says what to do. */
  async function checkBetween(dir: string): Promise<void> {
    const broker = await startBroker(reference, { dir }).catch((error: Error) => {
      assert.match(error.message, /bpbroker migrate --from (file --to etcd|etcd --to file) --config/);
      return undefined;
    });
    if (!broker) return;
    const client = await connectTo(broker);
    assert.equal((await client.list()).entries.length, ENTRIES);
    client.close();
    await broker.stop();
  }

  async function checkInEtcd(dir: string, prefix: string, least: number): Promise<void> {
    const { _store: store, _registry: registry, services } = contentOf(dir);
    assert.deepEqual([store.driver, registry, services], ['etcd', undefined, {}]);
    const opened = etcdStore({ endpoints: cluster.endpoints, prefix });
    await opened.ready();
    const { entries } = await opened.list();
    assert.equal(entries.length, ENTRIES);
    assert.equal(opened.id, '0123456789abcdef');
    assert.ok(opened.revision >= least);
    for (const { name, ttlMs } of entries) {
      const left = await opened.lifetimeLeft(name);
      assert.equal(left === undefined, ttlMs === undefined, name);
    }
    await opened.close();
  }

  it('ends rightly when it is run again, into etcd', async () => {
    let cuts = 0;
    for (let isCut = true; isCut;) {
      const dir = tempDir();
      const prefix = newPrefix();
      writeFileOf(dir, ENTRIES);
      const place = ['--endpoint', way.url, '--prefix', prefix];
      isCut = await cut(dir, 'etcd', place, cuts + 1);
      if (isCut) {
        cuts++;
        if (cuts % 3 === 0) await checkBetween(dir);
        const { code, stderr } = await bpbroker(dir, migration(dir, 'etcd', place));
        assert.equal(code, 0, `after ${cuts} requests: ${stderr}`);
      }
      await checkInEtcd(dir, prefix, ENTRIES + 7);
    }
    assert.ok(cuts >= 10, `${cuts} cuts`);
  });

  it('ends rightly when it is run again, or given up, out of etcd', async () => {
    let cuts = 0;
    for (let isCut = true; isCut;) {
      const dir = tempDir();
      const prefix = newPrefix();
      writeFileOf(dir, ENTRIES);
      const place = ['--endpoint', way.url, '--prefix', prefix];
      const made = await bpbroker(dir, migration(dir, 'etcd', place));
      assert.equal(made.code, 0, made.stderr);
      isCut = await cut(dir, 'file', [], cuts + 1);
      if (isCut) {
        cuts++;
        await checkBetween(dir);
        const isMoved = contentOf(dir)._store.driver === 'file';
        const givesUp = cuts % 2 === 0 && !isMoved;
        const { code, stderr } = await bpbroker(dir, migration(dir, givesUp ? 'etcd' : 'file'));
        assert.equal(code, 0, `after ${cuts} requests: ${stderr}`);
        if (givesUp) {
          await checkInEtcd(dir, prefix, ENTRIES + 7);
          continue;
        }
      }
      const { _store: store, _registry: registry, services } = contentOf(dir);
      assert.equal(store.driver, 'file');
      assert.equal(Object.keys(services).length, ENTRIES);
      assert.equal(registry?.id, '0123456789abcdef');
      assert.ok((registry?.revision ?? 0) > ENTRIES + 7);
      assert.match((await keysAt(cluster, prefix)).get('m/registry') ?? '', /"state":"moved"/);
      const left = readdirSync(dir).filter((name) => name.startsWith(`${path.basename(fileIn(dir))}.tmp-`));
      const broker = await startBroker(reference, { dir });
      await broker.stop();
      const still = readdirSync(dir).filter((name) => name.startsWith('bpbroker.json.tmp-'));
      assert.deepEqual(still, [], `${left.length} were left`);
    }
    assert.ok(cuts >= 4, `${cuts} cuts`);
  });

  it('is left to the machine that began it, and not to one with the same name and path', async () => {
    const dir = path.join(tempDir(), 'bpbroker');
    const away = `${dir}-away`;
    const mark = `${fileIn(dir)}.migration`;
    for (const to of ['etcd', 'file'] as const) {
      const prefix = newPrefix();
      const place = ['--endpoint', way.url, '--prefix', prefix];
      const begin = (): void => {
        mkdirSync(dir);
        writeFileOf(dir, ENTRIES);
      };
      begin();
      if (to === 'file') assert.equal((await bpbroker(dir, migration(dir, 'etcd', place))).code, 0);
      const state = to === 'etcd' ? 'filling' : 'moving';
      const more = to === 'etcd' ? place : [];
      const isBegun = async (): Promise<boolean> =>
        (await registryAt(cluster, prefix)).includes(`"state":"${state}"`);
      for (let requests = 1; !(await isBegun()); requests++) await cut(dir, to, more, requests);
      assert.match(readFileSync(mark, 'utf8'), /^[0-9a-f]{32}\n$/);
      // The same host name, the same path, the same registry: all but the mark.
      cpSync(dir, away, { recursive: true });
      rmSync(mark);
      const other = await bpbroker(dir, migration(dir, to, more));
      assert.deepEqual([other.code, other.stdout], [to === 'etcd' ? 4 : 1, ''], other.stderr);
      const told = new RegExp(
        `again where ${mark} holds ${readFileSync(`${away}/bpbroker.json.migration`, 'utf8').trim()}:`,
      );
      assert.match(other.stderr, told);
      rmSync(dir, { recursive: true });
      renameSync(away, dir);
      const again = await bpbroker(dir, migration(dir, to, more));
      assert.equal(again.code, 0, again.stderr);
      assert.equal(existsSync(mark), false, 'a copy of the folder must not pass for this one');
      rmSync(dir, { recursive: true });
    }
  });
});
