import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root, tool } from '../../../build/root.ts';
import { launchers, run, type RunResult, startBroker } from '../../support/programs/programs.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { consumer, strictProject } from '../../support/documents/consumer.ts';
import { freePort, reference, skipOf } from '../support.ts';

/** How each runtime runs a script, for the launchers that are runtimes. */
const runtimes = launchers
  .filter(({ name }) => name !== 'executable')
  .map((launcher) => ({ ...launcher, run: launcher.bpbroker.slice(0, -1) }));

/** The examples in TypeScript of a source's docstrings, or of a Markdown document. */
function examplesOf(file: string): string[] {
  const text = readFileSync(path.join(root, file), 'utf8').replaceAll(/^ *\* ?/gm, '');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code);
}

/** What the example's comments say that it prints: the rest of the line behind `console.log(…); //`. */
function promisedBy(example: string): string[] {
  return [...example.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, said = '']) => said);
}

/** Runs a script of the project; the broker in it takes `port`. */
function runScript(
  launcher: { run: readonly string[] },
  dir: string,
  file: string,
  port: number,
  env: Record<string, string> = {},
): Promise<RunResult> {
  return run([...launcher.run, path.join(dir, file)], {
    cwd: dir,
    env: cleanEnv(dir, { BPBROKER_LISTEN_PORT: String(port), ...env }),
  });
}

// Runtimes print an object on one line or on several.
const plain = (text: string): string => text.replaceAll(/\s+/g, '').replaceAll(',}', '}');

const documents = [
  'src/broker/create-broker.ts',
  'src/client/client.ts',
  'src/client/discover.ts',
  'src/protocol/errors.ts',
];

for (const launcher of runtimes) {
  describe(`the library, on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    for (const document of documents) {
      it(`runs the example of ${document}`, async () => {
        const examples = examplesOf(document);
        assert.equal(examples.length, 1);
        const [example = ''] = examples;
        const needsBroker = !example.includes('createBroker');
        const broker = needsBroker && example.includes('connect(') ? await startBroker(reference) : undefined;
        const port = broker?.port ?? (await freePort());
        // The very text, but for the port, which another broker of this machine may have.
        const placed = example
          .replaceAll('20443', String(port))
          .replaceAll('discover({', `discover({ interfaces: ['lo'], port: ${port},`);
        const dir = consumer({ 'example.mjs': placed });
        const entry = ['--name', 'web', '--data', '{"port": 8080}'];
        await broker?.client(['service', 'replace', ...entry]);
        const { code, stdout, stderr } = await runScript(launcher, dir, 'example.mjs', port);
        assert.deepEqual([code, stderr], [0, ''], stderr);
        const promised = promisedBy(example);
        if (promised.length > 0) assert.equal(plain(stdout), plain(promised.join('')));
        else assert.match(stdout, new RegExp(`^https://\\S+:${port}\n$`));
        await broker?.kill();
      });
    }

    it('mounts in a server of the user, which tells it the client, and keeps what it wrote when closed', async () => {
      const dir = consumer({ 'mount.mjs': mountScript });
      const { code, stdout, stderr } = await runScript(launcher, dir, 'mount.mjs', 0);
      assert.deepEqual([code, stderr], [0, ''], stderr);
      const { src, health, own } = JSON.parse(stdout) as Record<string, unknown>;
      assert.deepEqual([src, health, own], ['127.0.0.1', 200, 'mine']);
      const written = JSON.parse(readFileSync(path.join(dir, 'data', 'bpbroker.json'), 'utf8')) as {
        services: Record<string, Record<string, unknown>>;
      };
      assert.deepEqual(
        [written.services['foo']?.['_str'], written.services['foo']?.['last_write_ip']],
        ['bar', '127.0.0.1'],
      );
    });

    it('lets a program end that has closed its broker as soon as it was open', async () => {
      const dir = consumer({ 'short.mjs': shortScript });
      const { code, stdout, stderr } = await runScript(launcher, dir, 'short.mjs', 0);
      assert.deepEqual([code, stderr], [0, '']);
      // A look at its own ports takes 4 seconds where they are silent.
      assert.ok(Number(stdout) < 3000, `${stdout} ms`);
    });

    it('keeps no program from ending that has closed what it opened', async () => {
      const dir = consumer({ 'end.mjs': endScript });
      const options = { cwd: dir, env: cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0' }), timeoutMs: 10_000 };
      const { code, stdout, stderr } = await run([...launcher.run, path.join(dir, 'end.mjs')], options);
      assert.deepEqual([code, stdout, stderr], [0, 'foo\nclosed\n', '']);
    });
  });
}

/** Mounts a broker's app beside a route of its own, in the server that its runtime is usually given. */
const mountScript = `
import { createBroker } from 'bpbroker';
import { Hono } from 'hono';
const broker = await createBroker({ dir: './data' });
const app = new Hono().get('/own', (c) => c.text('mine')).route('/broker', broker.app);
const { port, stop } = await serve();
const url = \`http://127.0.0.1:\${port}\`;
const post = async (path, body) => {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  return await response.json();
};
const { src } = await post('/broker/ping/Ping', { data: 'x' });
await post('/broker/services/Register', { name: 'foo', data: 'bar' });
const { status: health } = await fetch(url + '/broker/healthz');
const own = await (await fetch(url + '/own')).text();
await stop();
await broker.close();
console.log(JSON.stringify({ src, health, own }));
process.exit(0);

async function serve() {
  const at = { hostname: '127.0.0.1', port: 0 };
  if (globalThis.Bun) {
    const server = Bun.serve({ ...at, fetch: app.fetch });
    return { port: server.port, stop: () => server.stop(true) };
  }
  if (globalThis.Deno) {
    const server = Deno.serve({ ...at, onListen() {} }, app.fetch);
    return { port: server.addr.port, stop: () => server.shutdown() };
  }
  const { serve } = await import('@hono/node-server');
  return await new Promise((resolve) => {
    const server = serve({ ...at, fetch: app.fetch }, ({ port }) => resolve({ port, stop: () => server.close() }));
  });
}
`;

/** Watches and waits, with the broker going away under both, and closes everything. */
const endScript = `
import { createBroker } from 'bpbroker';
import { connect } from 'bpbroker/client';
const broker = await createBroker({ dir: './data' });
const { port, fingerprint } = await broker.listen();
const client = await connect({ broker: \`127.0.0.1:\${port}\`, fingerprint });
const over = new AbortController();
const { revision } = await client.register('foo', 'bar');
const watching = (async () => {
  for await (const { name } of client.watch({ after: revision - 1, signal: over.signal })) {
    console.log(name);
    setTimeout(() => broker.close(), 50);
  }
})();
const waiting = client.waitFor('never', { signal: over.signal }).catch(() => undefined);
await new Promise((resolve) => setTimeout(resolve, 4000));
over.abort();
await Promise.all([watching, waiting, broker.close()]);
client.close();
console.log('closed');
`;

/** Closes while the broker looks at itself for the first time: it asks its own ports, which nobody answers then. */
const shortScript = `
import { createBroker } from 'bpbroker';
const broker = await createBroker({ dir: './data' });
await broker.listen();
await broker.close();
const closed = performance.now();
process.once('exit', () => console.log(Math.round(performance.now() - closed)));
`;

describe('the examples of the docstrings', () => {
  it('have types that check in a strict project', async () => {
    const dir = consumer({
      'tsconfig.json': strictProject(['*.ts']),
      'example.ts': documents
        .flatMap(examplesOf)
        .map((example) => `{${example.replaceAll(/^import .*$/gm, '')}}`)
        .join('\n')
        .replace(/^/, imports),
    });
    const { code, stdout } = await run([process.execPath, tool('tsc'), '-p', '.'], { cwd: dir });
    assert.deepEqual([code, stdout], [0, '']);
  });
});

const imports = `import { BrokerError, createBroker } from 'bpbroker';\nimport { connect, discover } from 'bpbroker/client';\nexport {};\n`;
