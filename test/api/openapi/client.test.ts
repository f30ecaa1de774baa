import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root, tool } from '../../../build/root.ts';
import { openBroker } from '../../../src/broker/broker.ts';
import { run } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';
import { fetchDocument } from './document.ts';

const KEY = 'only-for-tests';

/** What a user of a generated client writes. */
const program = `
import { ApiError, BrokerService, OpenAPI, PingService, ServicesService } from './client';

OpenAPI.BASE = process.argv[2] ?? '';
OpenAPI.TOKEN = process.argv[3];
const entry = await ServicesService.servicesRegister({ name: 'web1', data: { port: 8080 }, ttl: '1h' });
const { last_write_ip, port } = entry.data;
const list = await ServicesService.servicesList({ prefix: 'web' });
const names: string[] = list.data.entries.map(({ name }) => name);
const twice: unknown = await ServicesService.servicesRegister({ name: 'web1', data: 'other' }).catch(
  (error: unknown) => error instanceof ApiError && [error.status, error.body.code],
);
await ServicesService.servicesDelete({ name: 'web1' });
const { count } = (await ServicesService.servicesList({ entries: false })).data;
const { src } = await PingService.pingPing({ data: 'hello' });
const { ready } = await BrokerService.readyz();
console.log(JSON.stringify({ last_write_ip, port, names, twice, count, src, ready }));
`;
/** And what its compiler must find. */
const wrong = `
import { ServicesService } from './client';
void ServicesService.servicesRegister({ name: 'web1', data: 5 });
void ServicesService.servicesRegister({ name: 'web1', data: 'a', tll: 1 });
`;

function generate(document: string, output: string): Promise<{ code: number | undefined; stderr: string }> {
  const generator = path.join(root, 'node_modules', 'openapi-typescript-codegen', 'bin', 'index.js');
  return run([tool('node'), generator, '--input', document, '--output', output, '--useUnionTypes']);
}

function check(dir: string, file: string): Promise<{ code: number | undefined; stdout: string }> {
  const compilerOptions = {
    module: 'esnext',
    moduleResolution: 'bundler',
    target: 'es2023',
    lib: ['es2023', 'dom', 'dom.iterable'],
    types: ['node'],
    typeRoots: [path.join(root, 'node_modules', '@types')],
    strict: true,
    noEmit: true,
  };
  const project = path.join(dir, `tsconfig.${file}.json`);
  writeFileSync(project, JSON.stringify({ compilerOptions, files: [file] }));
  return run([tool('node'), tool('tsc'), '-p', project], { cwd: dir });
}

describe('a client that is generated from /openapi.json', () => {
  it('calls the broker, with types that fit', async (t) => {
    const dir = tempDir();
    const config = { api: { listen_port: 0, listen_ip: '127.0.0.1' }, services: { _access_key: KEY } };
    const broker = await openBroker({ file: path.join(dir, 'broker', 'bpbroker.json'), config });
    t.after(() => broker.close());
    const { url } = await broker.listen();
    mkdirSync(dir, { recursive: true });
    const document = path.join(dir, 'openapi.json');
    writeFileSync(document, JSON.stringify(await fetchDocument(broker.app)));
    const generated = await generate(document, path.join(dir, 'client'));
    assert.equal(generated.code, 0, generated.stderr);
    writeFileSync(path.join(dir, 'program.ts'), program);
    writeFileSync(path.join(dir, 'wrong.ts'), wrong);

    const checked = await check(dir, 'program.ts');
    assert.equal(checked.code, 0, checked.stdout);
    const refused = await check(dir, 'wrong.ts');
    assert.match(refused.stdout, /wrong\.ts\(3,.*not assignable/);
    assert.match(refused.stdout, /wrong\.ts\(4,.*'tll'/);

    // The broker's certificate is its own, and a generated client cannot know its fingerprint.
    const env = { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: '0' } as Record<string, string>;
    const result = await run([tool('bun'), path.join(dir, 'program.ts'), url, KEY], { env, cwd: dir });
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual(JSON.parse(result.stdout), {
      last_write_ip: '127.0.0.1',
      port: 8080,
      names: ['web1'],
      twice: [409, 'already_exists'],
      count: 0,
      src: '127.0.0.1',
      ready: true,
    });
  });
});
