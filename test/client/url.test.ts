import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Hono } from 'hono';
import { runtime } from '#runtime';
import { type Broker, connect, type ConnectOptions, createBroker, type Json } from '../../src/index.ts';
import { createAuthority } from '../support/network/authority.ts';
import { atEnd } from '../support/cleanup.ts';
import { tempDir } from '../support/temp.ts';
import { page, startTlsProxy } from '../support/network/tls-proxy.ts';

/** The client with a broker that is named by a URL; this file runs on Node, Bun and Deno alike. */

const url = 'https://app.test/broker';

async function open(config: Readonly<Record<string, Json>> = {}): Promise<Broker> {
  const broker = await createBroker({
    dir: tempDir(),
    config: { services: {}, api: { listen_port: 0 }, ...config },
  });
  atEnd(() => broker.close());
  return broker;
}

/** An app of somebody's own, with a broker in it. */
function appWith(broker: Broker): Hono {
  return new Hono().get('/own', (c) => c.text('mine')).route('/broker', broker.app);
}

/** Options by which everything is answered so. */
const answering = (answer: (request: Request) => Response | Promise<Response>): ConnectOptions => ({
  broker: url,
  fetch: (request) => (request.url.endsWith('/identity') ? Response.json({ id: 'x' }) : answer(request)),
});

describe(`connect() with a function in place of the network, on ${runtime.name}`, () => {
  it('talks to a broker that is mounted in an app, without a network', async () => {
    const app = appWith(await open({ services: { _access_key: 'secret' } }));
    const fetch: ConnectOptions['fetch'] = (...args) => app.fetch(new Request(...args));
    await using client = await connect({ broker: url, accessKey: 'secret', fetch });
    assert.deepEqual(client.address, { host: 'app.test', port: 443 });
    assert.equal((await client.ping('hello')).data, 'hello');
    await client.register('web', { port: 8080 });
    const { data } = await client.get<{ readonly port: number }>('web');
    assert.equal(data.port + 1, 8081);
    await assert.rejects(client.register('web', 'again'), { code: 'already_exists' });
    await assert.rejects(client.get('nothing'), { code: 'not_found' });
    const denied = await connect({ broker: url, fetch });
    await assert.rejects(denied.get('web'), { code: 'access_denied' });
    await assert.rejects(connect({ broker: 'https://app.test/elsewhere', fetch }), {
      code: 'unreachable',
      message: /it is no broker: check the path of the URL \(HTTP status 404\)$/,
    });
  });

  it('reports changes as they happen, each of its own shape, and ends with its signal', async () => {
    const app = appWith(await open());
    const client = await connect({ broker: url, fetch: (request) => app.fetch(request) });
    const over = new AbortController();
    const seen: unknown[] = [];
    const { revision } = await client.replace('a', 'b');
    for await (const change of client.watch({ prefix: '', after: 0, signal: over.signal })) {
      seen.push(change);
      if (change.type === 'put') void client.delete(change.name);
      if (change.type === 'delete') over.abort();
    }
    const [put, gone] = seen;
    const { lastWriteTs, ...rest } = put as { lastWriteTs: number };
    assert.deepEqual(rest, { type: 'put', name: 'a', revision, data: 'b', lastWriteIp: '' });
    assert.equal(typeof lastWriteTs, 'number');
    assert.deepEqual(gone, { type: 'delete', name: 'a', revision: revision + 1 });
    assert.equal(seen.length, 2);
    client.close();
  });

  it('waits, for as long as is asked for', async () => {
    const app = appWith(await open());
    const client = await connect({ broker: url, fetch: (request) => app.fetch(request) });
    const waiting = client.waitFor('late', { timeoutMs: 20_000 });
    await client.register('late', 'here');
    assert.equal((await waiting).data, 'here');
    await assert.rejects(client.waitFor('never', { timeoutMs: 50 }), { code: 'timeout' });
    const given = new AbortController();
    const aborted = client.waitFor('never', { signal: given.signal });
    given.abort(new Error('enough'));
    await assert.rejects(aborted, { message: 'enough' });
  });

  it('is in reach again with the first call that gets through, and says so once', async () => {
    const notes: string[] = [];
    const app = appWith(await open());
    let isDown = false;
    const client = await connect({
      broker: url,
      notify: (line) => notes.push(line),
      // Down for one call, and for the look that follows it.
      fetch(request) {
        const wasDown = isDown;
        if (request.url.endsWith('/identity')) isDown = false;
        return wasDown ? new Response('', { status: 502 }) : app.fetch(request);
      },
    });
    await client.register('a', 'b');
    isDown = true;
    assert.equal((await client.waitFor('a', { timeoutMs: 20_000 })).data, 'b');
    assert.equal(client.outOfReach(), undefined);
    assert.equal(notes.length, 2, notes.join('\n'));
    assert.match(
      notes[0] ?? '',
      /^The broker at https:\/\/app\.test\/broker is out of reach \(.*502\)\); trying again$/,
    );
    assert.equal(notes[1], `The broker is in reach again, at ${url}`);
  });

  it('pings until a broker that was lost answers, and says so', async () => {
    const notes: string[] = [];
    let isDown = false;
    let calls = 0;
    const client = await connect({
      broker: url,
      notify: (line) => notes.push(line),
      fetch(request) {
        const isCall = request.url.endsWith('/ping/Ping');
        if (isDown && (!isCall || ++calls < 3)) return new Response('', { status: 502 });
        return Response.json(isCall ? { data: { _str: 'here' }, src: '10.0.0.7' } : { id: 'x' });
      },
    });
    isDown = true;
    assert.equal((await client.ping('here', { wait: true, timeoutMs: 20_000 })).src, '10.0.0.7');
    assert.match(
      notes.join('\n'),
      /^The broker at .+ is out of reach \(.+\nThe broker is in reach again, .+$/,
    );
    calls = Number.NEGATIVE_INFINITY;
    await assert.rejects(client.ping('', { wait: true, timeoutMs: 300 }), {
      code: 'timeout',
      message: /^Gave up waiting for the broker after 300 ms: .*502/,
    });
    await assert.rejects(client.ping(), { code: 'unreachable' });
  });

  it('asks anew before a proxy would give up on a silent server', async () => {
    const asked: unknown[] = [];
    const given = new AbortController();
    const client = await connect(
      answering(async (request) => {
        asked.push(((await request.json()) as { wait?: unknown }).wait);
        if (asked.length === 3) given.abort(new Error('enough'));
        return Response.json({ success: false, code: 'not_found', message: 'none' }, { status: 404 });
      }),
    );
    await assert.rejects(client.waitFor('never', { signal: given.signal }), { message: 'enough' });
    assert.deepEqual(asked, ['20000ms', '20000ms', '20000ms']);
  });

  it('heeds signal and time where the function does not', async () => {
    const silent = await connect({ ...answering(() => new Promise(() => undefined)), timeoutMs: 50 });
    await assert.rejects(silent.get('a'), {
      code: 'unreachable',
      message: `No answer from the broker at ${url} within 50 ms`,
    });
    const given = new AbortController();
    const aborted = silent.call('a', 'B', {}, { timeoutMs: Infinity, signal: given.signal });
    given.abort(new Error('enough'));
    await assert.rejects(aborted, { message: 'enough' });
    // An answer that begins, and does not go on.
    let isCancelled = false;
    const stalled = await connect(
      answering(() => new Response(new ReadableStream({ cancel: () => void (isCancelled = true) }))),
    );
    await assert.rejects(stalled.call('a', 'B', {}, { timeoutMs: 50 }), { code: 'unreachable' });
    assert.equal(isCancelled, true);
  });

  it('reads 16 MiB of an answer, and no more', async () => {
    let made = 0;
    const endless = await connect(
      answering(() => {
        const pull = (sink: ReadableStreamDefaultController<Uint8Array>): void => {
          made += 1;
          sink.enqueue(new Uint8Array(1024 * 1024).fill(32));
        };
        return new Response(new ReadableStream({ pull }));
      }),
    );
    await assert.rejects(endless.call('a', 'B'), { code: 'internal', message: /longer than 16 MiB/ });
    assert.ok(made < 25, `${made}`);
  });

  it('returns any JSON that a method answers', async () => {
    for (const value of [[1, 'a', null], 'text', 3, null, true, { a: [] }, {}]) {
      const client = await connect(answering(() => Response.json(value)));
      assert.deepEqual(await client.call('my', 'Method'), value);
    }
    const text = await connect(answering(() => new Response('text')));
    await assert.rejects(text.call('my', 'Method'), {
      code: 'internal',
      message: 'my.Method did not answer with JSON: text',
    });
    const failed = await connect(answering(() => Response.json({ success: false, message: 'no' })));
    await assert.rejects(failed.call('my', 'Method'), { message: 'no' });
    // Built-in modules answer with an envelope, or it was not they.
    const odd = await connect(answering(() => Response.json([1])));
    await assert.rejects(odd.get('a'), { code: 'internal', message: /carries no data/ });
  });

  it('follows no redirect, and repeats what stopped it', async () => {
    const moved = await connect(answering(() => Response.redirect('https://elsewhere.test/x', 302)));
    await assert.rejects(moved.get('a'), {
      code: 'internal',
      message: /redirects its callers to 'https:\/\/elsewhere/,
    });
    const failing = connect({ broker: url, fetch: () => Promise.reject(new Error('no way there')) });
    await assert.rejects(failing, {
      code: 'unreachable',
      message: `No broker reached at ${url}: no way there`,
    });
  });

  it('tries again while nothing answers, for as long as its option says', async () => {
    let asked = 0;
    const app = appWith(await open());
    const client = await connect({
      broker: url,
      retryForMs: 20_000,
      fetch: (request) => (++asked < 3 ? new Response('', { status: 502 }) : app.fetch(request)),
    });
    assert.equal((await client.ping('x')).data, 'x');
    const never = connect({ broker: url, retryForMs: 200, fetch: () => new Response('', { status: 503 }) });
    await assert.rejects(never, { code: 'timeout', message: /the broker behind it is out of service/ });
  });
});

describe(`connect() with a URL, on ${runtime.name}`, () => {
  it('reaches a broker by way of a proxy, by an authority of ca', async () => {
    const broker = await open({ services: { _access_key: 'secret' } });
    const { port } = await broker.listen();
    const authority = await createAuthority();
    const other = await createAuthority('another authority');
    const certificate = await authority.sign({ names: ['localhost'] });
    const proxy = await startTlsProxy({ certificate, to: port, prefix: '/p' });
    const at = { broker: `https://localhost:${proxy.port}/p/`, accessKey: 'secret' };
    for (const ca of [authority.cert, [other.cert, authority.cert]]) {
      await using client = await connect({ ...at, ca });
      await client.replace('a', 'b');
      assert.equal((await client.get('a')).data, 'b');
    }
    const before = proxy.requests.length;
    for (const ca of [undefined, other.cert])
      await assert.rejects(connect({ ...at, ca }), {
        code: 'identity_mismatch',
        message: /nothing was sent/,
      });
    assert.equal(proxy.requests.length, before);
    // What a proxy adds, such as where it is down, is an error of the call.
    const client = await connect({ ...at, ca: authority.cert });
    proxy.answer((_, outgoing) => page(outgoing, 504));
    await assert.rejects(client.get('a'), { code: 'unreachable' });
    client.close();
    await proxy.close();
  });

  it('refuses options that have no meaning there, or only there', async () => {
    const fetch = (): Response => new Response();
    const ca = (await createAuthority()).cert;
    const wrong: [ConnectOptions, RegExp][] = [
      [{ broker: '127.0.0.1', ca }, /Option 'ca' has no meaning without a URL/],
      [{ broker: { host: '127.0.0.1', port: 1 }, fetch }, /Option 'fetch' has no meaning without a URL/],
      [{ broker: url, fetch, ca }, /Option 'ca' has no meaning beside 'fetch'/],
      [
        { broker: url, fetch, fingerprint: '0'.repeat(64) },
        /Option 'fingerprint' has no meaning beside 'fetch'/,
      ],
      [{ broker: url, fetch, foundBy: 'a' }, /Option 'foundBy' has no meaning beside a URL/],
      [
        { broker: url, fetch, discoverKey: 'k'.repeat(43) },
        /Option 'discoverKey' has no meaning beside a URL/,
      ],
      [{ broker: url, ca: [] }, /'ca' is an array; expected certificates in PEM/],
      [{ broker: url, ca: 'x' }, /ca holds no certificate/],
      [{ broker: 'http://app.test', fetch }, /begins with https/],
    ];
    for (const [options, message] of wrong)
      await assert.rejects(connect(options), { code: 'usage', message });
  });
});

describe(`a block that is left closes, on ${runtime.name}`, () => {
  it('a broker that it has opened', async () => {
    const dir = tempDir();
    const config = { api: { listen_port: 0 } };
    {
      await using broker = await createBroker({ dir, config });
      assert.equal(broker.isNew, true);
    }
    // Its file is free again.
    await using again = await createBroker({ dir, config });
    assert.equal(again.isNew, false);
  });
});
