import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../support/programs/run.ts';
import { requests } from './requests.ts';
import { projectOf, served, serverEnv } from './server-process.ts';
import { answerOf, call, KEY, post, type Target } from './target.ts';
import { bundle, startWorkerd, workerd, type WorkerdProcess } from './workerd.ts';

/** As Cloudflare's edge tells a Worker the client. */
function from(origin: string, clientAddress: string): Target {
  const target = served(origin);
  return {
    ...target,
    clientAddress,
    fetch(at, init = {}) {
      const headers = new Headers(init.headers);
      headers.set('cf-connecting-ip', clientAddress);
      return target.fetch(at, { ...init, headers });
    },
  };
}

describe('the app served by workerd', { skip: workerd.missing }, () => {
  let dir: string;
  let server: WorkerdProcess;
  let kept: Promise<number>;
  before(async () => {
    dir = projectOf('examples/worker');
    await bundle(dir, 'worker.ts', 'dist/worker.js');
    server = await startWorkerd(dir);
    kept = keptWithoutRequests(dir);
  });
  requests(() => from(server.origin, '203.0.113.7'));

  it('limits wrong keys by the source that the header names, and nobody without it', async () => {
    const hostile = from(server.origin, '203.0.113.66');
    for (let n = 0; n < 10; n++)
      assert.equal((await post(hostile, '/services/List', {}, 'wrong')).status, 401);
    assert.equal((await answerOf(await post(hostile, '/services/List', {}, KEY))).status, 429);
    assert.equal((await call(from(server.origin, '203.0.113.7'), 'List', {})).status, 200);
    const unnamed = served(server.origin);
    for (let n = 0; n < 11; n++)
      assert.equal((await post(unnamed, '/services/List', {}, 'wrong')).status, 401);
    assert.equal((await call(unnamed, 'List', {})).status, 200);
  });

  it('keeps its entries for longer than an object may be idle', async () => {
    assert.equal(await kept, 200);
  });

  it('has said nothing', () => {
    assert.deepEqual([server.running.stdout(), server.running.stderr()], ['', '']);
  });

  it('needs nodejs_compat, and a compatibility date of at least 2024-09-23', async () => {
    const config = readFileSync(path.join(dir, 'config.capnp'), 'utf8');
    writeFileSync(path.join(dir, 'oldest.capnp'), config.replace('2025-09-01', '2024-09-23'));
    const oldest = served((await startWorkerd(dir, 'oldest.capnp')).origin);
    assert.equal((await call(oldest, 'Register', { name: 'foo', data: { a: 1 } })).status, 200);
    writeFileSync(path.join(dir, 'without.capnp'), config.replace('"nodejs_compat"', ''));
    const { code, stderr } = await run([workerd.file, 'serve', 'without.capnp'], {
      cwd: dir,
      env: serverEnv(dir),
    });
    assert.notEqual(code, 0);
    assert.match(stderr, /No such module "node:crypto"/);
  });

  it('serves nothing without its access key', async () => {
    const { ACCESS_KEY: _key, ...env } = serverEnv(dir);
    const { origin, running } = await startWorkerd(dir, 'config.capnp', env);
    assert.equal((await fetch(`${origin}/services/List`)).status, 500);
    assert.match(running.stderr(), /services\._access_key/);
  });

  it('has the same date and flags for wrangler', () => {
    const texts = ['config.capnp', 'wrangler.toml'].map((file) => readFileSync(path.join(dir, file), 'utf8'));
    const [date, flags] = [/compatibility_?date = "(.*?)"/i, /compatibility_?flags = (\[.*?\])/i].map(
      (said) => texts.map((text) => said.exec(text)?.[1]),
    );
    assert.deepEqual(date, ['2025-09-01', '2025-09-01']);
    assert.deepEqual(flags, ['["nodejs_compat"]', '["nodejs_compat"]']);
  });
});

/**
 * What a registry answers for its entry when nobody has asked it anything for 15 s. workerd takes an object that has had
 * nothing to do for 10 s out of memory, as Cloudflare does.
 */
async function keptWithoutRequests(dir: string): Promise<number> {
  const target = served((await startWorkerd(dir)).origin);
  await call(target, 'Register', { name: 'foo', data: 'bar' });
  await sleep(15_000);
  return (await call(target, 'Get', { name: 'foo' })).status;
}
