import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { bundledPackages } from '../../../build/executable/bundled.ts';
import { findHostNode } from '../../../build/test/node20.ts';
import { capture } from '../../../build/process.ts';
import { root, tool } from '../../../build/root.ts';
import { listFiles } from '../../../build/stamp.ts';
import { strictProject } from '../../support/documents/consumer.ts';
import { exportsOf, importsOf } from '../../support/documents/exports.ts';
import { cleanEnv, run, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';

const host = findHostNode();
const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'];
const tools = (name: string): string => path.join(root, 'node_modules', '.bin', name);

const runtimes: Readonly<Record<string, readonly string[]>> = {
  ...(host && { [`Node ${host.version.split('.')[0]} of this machine`]: [host.file] }),
  'Node 24': [tool('node')],
  Bun: [tool('bun')],
  Deno: [tool('deno'), 'run', '-A', '--no-lock'],
};

const library = `
import { createBroker } from 'bpbroker';
import { connect } from 'bpbroker/client';
const broker = await createBroker({ dir: './data', config: { api: { listen_port: 0 } } });
const { port, fingerprint } = await broker.listen();
const client = await connect({ broker: '127.0.0.1:' + port, fingerprint, knownBrokers: './known' });
await client.register('web', { port: 8080 });
console.log(JSON.stringify((await client.get('web')).data));
client.close();
await broker.close();
`;

/** What can be imported, such as `bpbroker/client`, with the file that has its types. */
const entries = entriesOf(path.join(root, 'dist', 'npm', 'package.json'));

function entriesOf(manifest: string): Readonly<Record<string, string>> {
  const { exports } = JSON.parse(readFileSync(manifest, 'utf8')) as {
    exports: Record<string, string | { types: string }>;
  };
  const typed = Object.entries(exports).flatMap(([entry, target]) =>
    typeof target === 'string' ? [] : [[entry.replace('.', 'bpbroker'), target.types] as const],
  );
  return Object.fromEntries(typed);
}

/** What `npm publish` would send. */
describe('the npm package', () => {
  let tarball = '';
  let app = '';
  before(async () => {
    const dir = tempDir();
    const packed = await capture(['npm', 'pack', '--silent', path.join(root, 'dist', 'npm')], { cwd: dir });
    tarball = path.join(dir, packed.trim());
    app = path.join(dir, 'app');
    mkdirSync(app);
    writeFileSync(path.join(app, 'package.json'), '{"private": true, "type": "module"}');
    await capture(['npm', 'install', ...quiet, tarball], { cwd: app });
  });

  it('has nothing that publint warns of', async () => {
    const { code, stdout } = await run([tool('node'), tools('publint'), 'run', '--strict', tarball]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /All good!/);
  });

  it('has types that resolve in every way that an ESM package is imported', async () => {
    const { code, stdout } = await run([tool('node'), tools('attw'), tarball, '--profile', 'esm-only'], {
      timeoutMs: 120_000,
    });
    assert.equal(code, 0, stdout);
    for (const entry of Object.keys(entries))
      assert.ok(stdout.includes(`"${entry}"`), `${entry} was not looked at`);
  });

  it('holds emitted JavaScript with types and source maps, and no sources or tests', () => {
    const files = listFiles(path.join(app, 'node_modules', 'bpbroker')).map((file) =>
      path.relative(path.join(app, 'node_modules', 'bpbroker'), file),
    );
    const names = new Set(files);
    const scripts = files.filter((file) => file.endsWith('.js'));
    assert.ok(scripts.length > 100);
    for (const file of scripts) {
      assert.ok(names.has(`${file}.map`), `${file} has a source map`);
      assert.ok(names.has(file.replace(/\.js$/, '.d.ts')), `${file} has types`);
    }
    const others = files.filter((file) => !/\.(?:js|js\.map|d\.ts)$/.test(file));
    assert.deepEqual(
      others.filter((file) => /\.ts$|^test|^build/.test(file)),
      [],
    );
    for (const name of ['LICENSE', 'README.md', 'package.json', 'extensions/host/python-host.py'])
      assert.ok(others.includes(name), name);
  });

  it('brings the dependencies that it names, and is small', () => {
    const installed = JSON.parse(readFileSync(path.join(app, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, unknown>;
    };
    assert.equal(Object.keys(installed.packages).length - 2, bundledPackages().length);
    const page = readFileSync(path.join(root, 'docs', 'install.md'), 'utf8');
    const said = Number(/less than ([\d.]+) MB packed/.exec(page)?.[1]);
    assert.ok(statSync(tarball).size < said * 1e6, `${statSync(tarball).size} bytes, of ${said} MB`);
  });

  for (const [name, runtime] of Object.entries(runtimes)) {
    it(`runs from an install on ${name}: broker, client and library`, async () => {
      const program = (file: string): string[] => [
        ...runtime,
        path.join(app, 'node_modules', 'bpbroker', 'cli', file),
      ];
      const broker = await startBroker({
        bpbroker: program('bpbroker.js'),
        bpclient: program('bpclient.js'),
      });
      const { code, stdout, stderr } = await broker.client(['ping', '--data', 'hello']);
      assert.deepEqual([code, stdout], [0, 'hello\n'], stderr);
      await broker.stop();
      const home = tempDir();
      const file = path.join(app, `use-${Object.keys(runtimes).indexOf(name)}.js`);
      writeFileSync(file, library.replaceAll('./', `${home}/`));
      const used = await run([...runtime, file], { cwd: app, env: cleanEnv(home) });
      assert.deepEqual([used.code, used.stdout], [0, '{"port":8080}\n'], used.stderr);
    });
  }

  it('puts both programs on the PATH when it is installed globally', async () => {
    const prefix = path.join(tempDir(), 'prefix');
    await capture(['npm', 'install', '--global', '--prefix', prefix, ...quiet, tarball]);
    const bin = path.join(prefix, 'bin');
    assert.deepEqual(readdirSync(bin).toSorted(), ['bpbroker', 'bpclient']);
    const env = cleanEnv(tempDir(), {
      PATH: `${path.dirname(host?.file ?? tool('node'))}:${process.env['PATH']}`,
    });
    for (const program of ['bpbroker', 'bpclient']) {
      const { stdout, stderr } = await run([path.join(bin, program), '--version'], { env });
      assert.match(
        stdout,
        new RegExp(String.raw`^${program} \d+\.\d+\.\d+ \(node ${host?.version ?? '.*'}, `),
        stderr,
      );
    }
  });

  /** A project of a user, which has installed the package and uses all of it: `test/consumer`. */
  const project = path.join(root, 'test', 'consumer');
  const sources = readdirSync(project);

  it('has no export that this project does not use: its type is never seen from outside', () => {
    const used = sources.map((file) => readFileSync(path.join(project, file), 'utf8'));
    const usedOf = (specifier: string): string[] => used.flatMap((source) => importsOf(source, specifier));
    for (const [specifier, types] of Object.entries(entries)) {
      const exported = exportsOf(path.join(app, 'node_modules', 'bpbroker', types));
      // Whatever the client has, the library has too, and it is the same.
      const imported = [...usedOf(specifier), ...(specifier === 'bpbroker' ? usedOf('bpbroker/client') : [])];
      assert.deepEqual([...new Set(imported)].toSorted(), exported, specifier);
    }
  });

  interface Settings {
    readonly types: readonly string[];
    readonly [option: string]: unknown;
  }
  const withNode = new Set(['arktype.ts']);
  const settings: Readonly<Record<string, Settings>> = {
    'of the web': { lib: ['es2024', 'dom', 'dom.iterable'], types: [] },
    'of Node': { lib: ['es2024'], types: ['node'] },
    'of a bundler': { lib: ['es2024', 'dom'], types: [], module: 'esnext', moduleResolution: 'bundler' },
  };
  for (const [name, own] of Object.entries(settings)) {
    it(`has types that hold in a strict project ${name} which checks the libraries too`, async () => {
      const modules = path.join(app, 'node_modules');
      mkdirSync(path.join(modules, '@types'), { recursive: true });
      for (const needed of ['@types/node', 'undici-types', 'zod', 'arktype']) {
        const link = path.join(modules, needed);
        if (!existsSync(link)) symlinkSync(path.join(root, 'node_modules', needed), link);
      }
      const files = sources.filter((file) => own.types.includes('node') || !withNode.has(file));
      for (const file of files) copyFileSync(path.join(project, file), path.join(app, file));
      const { compilerOptions } = JSON.parse(strictProject(files)) as { compilerOptions: object };
      const unused = { noUnusedLocals: true, noUnusedParameters: true };
      writeFileSync(
        path.join(app, 'tsconfig.json'),
        JSON.stringify({ compilerOptions: { ...compilerOptions, ...unused, ...own }, include: files }),
      );
      const { code, stdout } = await run([tool('node'), tool('tsc'), '-p', '.'], {
        cwd: app,
        timeoutMs: 120_000,
      });
      assert.deepEqual([code, stdout], [0, '']);
    });
  }

  it('has types that Deno finds, which reads each file where it is said to be', async () => {
    const files = ['client.ts', 'client-library.ts', 'store.ts'];
    for (const file of files) copyFileSync(path.join(project, file), path.join(app, file));
    const { code, stderr } = await run([tool('deno'), 'check', '--no-lock', ...files], {
      cwd: app,
      env: cleanEnv(tempDir(), { NO_COLOR: '1' }),
      timeoutMs: 120_000,
    });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^Check store\.ts$/m);
  });
});
