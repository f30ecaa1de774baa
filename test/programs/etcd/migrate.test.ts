import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { askEtcd, type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { ptyProblem, runOnTerminal } from '../../support/programs/pty.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import { treeOf } from '../../support/registry/tree.ts';
import { waitFor } from '../../support/wait.ts';
import { get } from '../audit/audit-support.ts';
import {
  contentOf,
  fileIn,
  keysAt,
  migrate,
  migration,
  newPrefix,
  placeOf,
  registryAt,
  writeFileOf,
} from './migrate-support.ts';
import { bpbroker, connectTo, freePort, reference, skipOf, start } from '../support.ts';

const skip = lacking('etcd') || skipOf(reference);

describe('bpbroker migrate', { skip, timeout: 240_000 }, () => {
  let cluster: EtcdCluster;

  before(async () => {
    cluster = await startEtcd();
  });

  /** A broker at an address that stays the same, so that its clients know it there. */
  async function beginIn(dir: string): Promise<RunningBroker> {
    const api = { listen_ip: '127.0.0.1', listen_port: await freePort() };
    return await startBroker(reference, {
      dir,
      config: { api, services: {}, mine: { x: 'y' }, _store: { driver: 'file' } },
    });
  }

  it('moves a registry into etcd and back: data, revisions, lifetimes, identity and locks go along', async () => {
    const dir = tempDir();
    const prefix = newPrefix();
    const broker = await beginIn(dir);
    const first = await connectTo(broker);
    await first.register('gone', 'x');
    const foo = await first.register('foo', { a: [1, { b: 'ü' }] });
    const text = await first.register('text', 'just text');
    const ttl = await first.register('ttl', 'x', { ttlMs: 60_000 });
    await first.delete('gone');
    const { revision: last } = await first.replace('last', 'x');
    first.close();
    const known = await broker.client(['service', 'get', '--name', 'text']);
    assert.match(known.stderr, /First contact/);
    await broker.stop();

    const there = await migrate(dir, 'etcd', placeOf(cluster, prefix));
    assert.equal(there.code, 0, there.stderr);
    const [done, kept, backup] = there.stdout.trim().split('\n');
    assert.equal(done, `migrated ${fileIn(dir)}`);
    assert.match(
      there.stderr,
      new RegExp(`^4 entries, each compared, are in etcd .*; the registry goes on at revision ${last}\n`),
    );
    assert.ok(!there.stderr.includes('\r'), 'a pipe gets nothing of the progress');
    assert.match(
      readFileSync(path.join(kept?.slice('kept '.length) ?? '', 'bpbroker.json'), 'utf8'),
      /just text/,
    );
    const options = contentOf(dir);
    assert.deepEqual([options._store.driver, options.services, options._registry], ['etcd', {}, undefined]);
    assert.deepEqual(Reflect.get(options, 'mine'), { x: 'y' });

    const over = await startBroker(reference, { dir });
    assert.equal(over.fingerprint, broker.fingerprint);
    const again = await over.client(['service', 'get', '--name', 'text']);
    assert.deepEqual([again.code, again.stdout, again.stderr], [0, 'just text\n', '']);
    const second = await connectTo(over);
    for (const entry of [foo, text, ttl]) {
      const found = await second.get(entry.name);
      assert.deepEqual(
        [found.data, found.revision, found.lastWriteTs],
        [entry.data, entry.revision, entry.lastWriteTs],
      );
    }
    const left = Number((await lifetimeOf(over, 'ttl')).expires_in);
    assert.ok(left > 40 && left <= 60, `${left} of 60 s`);
    // Nothing that a client knows means anything else than before.
    await assert.rejects(second.replace('last', 'z', { ifRevision: last + 1 }), {
      code: 'revision_conflict',
    });
    const replaced = await second.replace('foo', 'new', { ifRevision: foo.revision });
    assert.ok(replaced.revision > last);
    await assert.rejects(second.replace('foo', 'newer', { ifRevision: foo.revision }), {
      code: 'revision_conflict',
    });
    for await (const change of second.watch({ after: last })) {
      assert.deepEqual([change.type, change.revision], ['put', replaced.revision]);
      break;
    }
    second.close();

    // The broker on this file, and one elsewhere.
    const held = await migrate(dir, 'file');
    assert.deepEqual([held.code, /Another broker \(pid \d+\) is using/.test(held.stderr)], [1, true]);
    await over.stop();
    const elsewhere = await startBroker(reference, {
      config: { services: {}, _store: { driver: 'etcd', endpoints: cluster.endpoints, prefix } },
    });
    assert.equal(elsewhere.fingerprint, broker.fingerprint);
    const { revision: later } = await (await connectTo(elsewhere)).register('later', 'x');
    const back = await migrate(dir, 'file');
    assert.equal(back.code, 0, back.stderr);
    assert.match(
      back.stderr,
      /^5 entries, each compared, are in .*bpbroker\.json; the registry goes on at revision \d+\n/,
    );
    const refused = await elsewhere.client(['service', 'get', '--name', 'foo']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /was moved from etcd to a file/);
    const body = await get(elsewhere, '/readyz');
    assert.match(body, /was moved from etcd to a file/);
    assert.ok(![refused.stderr, body].some((said) => said.includes(dir)), 'no caller learns where');
    assert.ok(elsewhere.stderr().includes(`was moved from etcd to ${fileIn(dir)} on `));
    await elsewhere.stop();

    const home = await startBroker(reference, { dir });
    assert.equal(home.fingerprint, broker.fingerprint);
    const third = await connectTo(home);
    const { entries } = await third.list();
    assert.deepEqual(
      entries.map(({ name, revision }) => [name, revision]),
      [
        ['foo', replaced.revision],
        ['last', last],
        ['later', later],
        ['text', text.revision],
        ['ttl', ttl.revision],
      ],
    );
    assert.equal((await lifetimeOf(home, 'ttl')).ttl, 60);
    assert.ok((await third.replace('foo', 'home', { ifRevision: replaced.revision })).revision > later);
    third.close();
    await home.stop();

    // And there again: what is there was moved away, and is no hindrance.
    const repeated = await migrate(dir, 'etcd');
    assert.equal(repeated.code, 0, repeated.stderr);
    assert.equal((await keysAt(cluster, prefix)).has('e/later'), true);
    const finished = await migrate(dir, 'etcd');
    assert.deepEqual([finished.code, finished.stdout], [0, `already ${fileIn(dir)}\n`], finished.stderr);
    mkdirSync(path.join(dir, 'other'));
    const restored = await bpbroker(dir, [
      'restore',
      '--from',
      backup?.slice('backup '.length) ?? '',
      '--config',
      path.join(dir, 'other', 'bpbroker.json'),
    ]);
    assert.equal(restored.code, 0, restored.stderr);
  });

  it('is refused beside a running broker, for a target that holds something, and for options that are wrong', async () => {
    const dir = tempDir();
    const broker = await beginIn(dir);
    await (await connectTo(broker)).register('foo', 'x');
    const taken = newPrefix();
    const other = await startBroker(reference, {
      config: { services: {}, _store: { driver: 'etcd', endpoints: cluster.endpoints, prefix: taken } },
    });
    await (await connectTo(other)).register('theirs', 'x');
    const running = await migrate(dir, 'etcd', placeOf(cluster, newPrefix()));
    assert.deepEqual(
      [running.code, /Another broker \(pid \d+\) is using/.test(running.stderr)],
      [1, true],
      running.stderr,
    );
    await broker.stop();
    const untouched = treeOf(dir);
    const cases: [readonly string[], number, RegExp][] = [
      [placeOf(cluster, taken), 4, /holds another registry \('[0-9a-f]{16}'\).*--prefix/],
      [['--prefix', newPrefix()], 2, /No endpoint of etcd is given: add --endpoint URL/],
      [['--endpoint', `http://127.0.0.1:${await freePort()}`], 1, /etcd does not answer/],
    ];
    for (const [more, exit, reason] of cases) {
      const { code, stdout, stderr } = await migrate(dir, 'etcd', more);
      assert.deepEqual([code, stdout], [exit, ''], stderr);
      assert.match(stderr, reason);
      assert.deepEqual(treeOf(dir), untouched);
    }
    assert.equal((await (await connectTo(other)).get('theirs')).data, 'x');
    await other.stop();
    const usage: [readonly string[], RegExp][] = [
      [['--from', 'file', '--to', 'file'], /Invalid --to 'file': expected etcd, since --from is file/],
      [['--from', 'etcd', '--to', 'etcd'], /Invalid --to 'etcd': expected file, since --from is etcd/],
      [['--from', 'disk', '--to', 'etcd'], /Invalid --from 'disk': expected file or etcd/],
      [['--from', 'file', '--to', 'mysql'], /Invalid --to 'mysql': expected file or etcd/],
      [['--to', 'etcd'], /needs --from DRIVER/],
    ];
    for (const [args, reason] of usage) {
      const { code, stderr } = await bpbroker(dir, ['migrate', ...args, '--config', fileIn(dir)]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, reason);
    }
    const here = await migrate(dir, 'file', placeOf(cluster, newPrefix()));
    assert.equal(here.code, 1);
    assert.match(
      here.stderr,
      /is already in the file, .*'_store\.endpoints' is not there, not .*; leave --endpoint out/,
    );
    const none = await bpbroker(
      dir,
      migration(path.join(dir, 'none'), 'etcd', placeOf(cluster, newPrefix())),
    );
    assert.deepEqual(
      [none.code, /Cannot read --config .*no such file/.test(none.stderr)],
      [2, true],
      none.stderr,
    );
    assert.ok(!existsSync(path.join(dir, 'none')));
    // Entries in the file that are not those in etcd.
    const mixed = tempDir();
    const prefix = newPrefix();
    writeFileOf(mixed, 3);
    assert.equal((await migrate(mixed, 'etcd', placeOf(cluster, prefix))).code, 0);
    const content = contentOf(mixed);
    writeFileSync(fileIn(mixed), JSON.stringify({ ...content, services: { own: 'x' } }));
    const own = await migrate(mixed, 'file');
    assert.deepEqual([own.code, /holds entries of its own/.test(own.stderr)], [4, true], own.stderr);
    assert.ok((await keysAt(cluster, prefix)).get('m/registry')?.includes('closed') === false);
  });

  it('shows how far it is on a terminal alone', { skip: ptyProblem }, async () => {
    const dir = tempDir();
    writeFileOf(dir, 20_000);
    const prefix = newPrefix();
    const command = [...reference.bpbroker, ...migration(dir, 'etcd', placeOf(cluster, prefix))];
    const { code, stdout } = await runOnTerminal(command, {
      cwd: dir,
      env: cleanEnv(dir),
      timeoutMs: 100_000,
    });
    assert.equal(code, 0, stdout);
    assert.match(stripVTControlCharacters(stdout), /\rCopied [\d,]+ of 20,000 entries/);
    assert.match(stdout, /20000 entries, each compared/);
    assert.equal((await keysAt(cluster, prefix)).size, 20_001);
  });

  it('gives up in an orderly way when it is interrupted, and the registry is where it was', async () => {
    const dir = tempDir();
    writeFileOf(dir, 20_000);
    const prefix = newPrefix();
    const state = (): Promise<string> => registryAt(cluster, prefix);
    const cut = async (to: 'etcd' | 'file', until: RegExp): Promise<void> => {
      const running = start(
        [...reference.bpbroker, ...migration(dir, to, to === 'etcd' ? placeOf(cluster, prefix) : [])],
        {
          cwd: dir,
          env: cleanEnv(dir),
        },
      );
      await waitFor('it to begin', async () => until.test(await state()));
      running.child.kill('SIGINT');
      assert.equal(await running.ended, 130, running.stderr());
      assert.match(running.stderr(), /Interrupted by SIGINT; the registry is where it was/);
    };
    await cut('etcd', /filling/);
    assert.equal(contentOf(dir)._registry?.id, '0123456789abcdef');
    const there = await migrate(dir, 'etcd', placeOf(cluster, prefix));
    assert.equal(there.code, 0, there.stderr);
    await cut('file', /moving/);
    assert.ok(!(await state()).includes('closed'));
    assert.equal(contentOf(dir)._store.driver, 'etcd');
    const back = await migrate(dir, 'file');
    assert.equal(back.code, 0, back.stderr);
    assert.equal(Object.keys(contentOf(dir).services).length, 20_000);
  });

  it('says what is in the way in etcd, and ends rightly once it is gone', async () => {
    const small = await startEtcd({ members: 1, args: [`--quota-backend-bytes=${16 * 1024 * 1024}`] });
    const dir = tempDir();
    writeFileOf(dir, 40, 900_000);
    const full = await migrate(dir, 'etcd', placeOf(small, '/full/'));
    assert.equal(full.code, 1);
    assert.match(full.stderr, /database space exceeded; its quota is used up/);
    assert.equal(contentOf(dir)._registry?.id, '0123456789abcdef');
    await small.close();
    // Another cluster, which is lost in the middle and comes back.
    const lost = await startEtcd({ members: 1 });
    const going = start([...reference.bpbroker, ...migration(dir, 'etcd', placeOf(lost, '/lost/'))], {
      cwd: dir,
      env: cleanEnv(dir),
    });
    await waitFor('it to begin', async () => (await keysAt(lost, '/lost/')).get('m/registry'));
    await lost.members[0]?.kill();
    assert.equal(await going.ended, 1);
    assert.match(going.stderr(), /etcd does not answer/);
    lost.members[0]?.start();
    await waitFor('etcd', () => askEtcd(lost.endpoints[0] ?? '', '/v3/kv/range', { key: 'AA==' }));
    const again = await migrate(dir, 'etcd', placeOf(lost, '/lost/'));
    assert.equal(again.code, 0, again.stderr);
    await lost.close();
    const gone = await migrate(dir, 'file');
    assert.deepEqual([gone.code, /etcd does not answer/.test(gone.stderr)], [1, true]);
  });
});

async function lifetimeOf(
  broker: RunningBroker,
  name: string,
): Promise<{ ttl?: number; expires_in?: number }> {
  const { stdout } = await broker.client(['service', 'get', '--name', name, '--raw']);
  return JSON.parse(stdout) as { ttl?: number; expires_in?: number };
}
