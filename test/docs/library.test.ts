import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { root, tool } from '../../build/root.ts';
import { brokerWith } from '../programs/extensions/extension-files.ts';
import { reference, skipOf } from '../programs/support.ts';
import { createAuthority } from '../support/network/authority.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { consumer, strictProject } from '../support/documents/consumer.ts';
import { blocksOf } from '../support/documents/documents.ts';
import { exportsOf } from '../support/documents/exports.ts';
import { launchers, run, type RunningBroker } from '../support/programs/programs.ts';
import { startTlsProxy, type TlsProxy } from '../support/network/tls-proxy.ts';

/** Every example of docs/library.md runs as it is shown, in their order, and prints what its comments say. */

const blocks = blocksOf('docs/library.md').filter(({ language }) => language === 'ts');

/** What the examples call on the broker. */
const hello = `
export const Greet = ({ data, clientAddress }) => \`hello, \${data} at \${clientAddress}\`;
export const Who = ({ data }) => Response.json(data);
export const Numbers = () => [1, 2, 3];
`;

/** The text of a page with the places that it names in the places of this run. */
function placed(text: string, { port, udpPort }: RunningBroker, proxy: TlsProxy, ca: string): string {
  return text
    .replaceAll('127.0.0.1:20443', `127.0.0.1:${port}`)
    .replaceAll('discover({', `discover({ interfaces: ['lo'], port: ${udpPort},`)
    .replaceAll('https://broker.example.com', `https://localhost:${proxy.port}`)
    .replaceAll('/etc/ssl/company.pem', ca);
}

// Runtimes print an object on one line or on several, with or without a blank behind the bracket.
const plain = (text: string): string => text.replaceAll(/\s+/g, '').replaceAll(',}', '}');

/** How a runtime runs a file of tests. */
function testRunner([runtime = '', ...rest]: readonly string[], name: string): string[] {
  if (name === 'bun') return [runtime, 'test'];
  // Deno finds the declarations of a package that is installed, and not of one that a link leads to.
  if (name === 'deno') return [runtime, 'test', '--no-check', ...rest.slice(1)];
  return [runtime, '--test'];
}

/** How many tests passed, from what a test runner prints. */
function passedOf(report: string): number {
  const plainReport = stripVTControlCharacters(report);
  const [, ofNode, ofOthers] = /pass (\d+)|(\d+) (?:steps\)|pass\b)/.exec(plainReport) ?? [];
  return Number(ofNode ?? ofOthers ?? 0);
}

for (const launcher of launchers.filter(({ name }) => name !== 'executable')) {
  describe(`docs/library.md on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    let broker: RunningBroker;
    let proxy: TlsProxy;
    let dir: string;
    before(async () => {
      broker = await brokerWith(reference, { 'hello.mjs': hello });
      const authority = await createAuthority();
      const certificate = await authority.sign({ names: ['localhost'] });
      proxy = await startTlsProxy({ certificate, to: broker.port, prefix: '/registry' });
      dir = consumer();
      writeFileSync(path.join(dir, 'ca.pem'), authority.cert);
    });

    // Node 20 has no `await using`.
    const own = blocks.filter(({ text }) => launcher.name !== 'node20' || !text.includes('await using'));
    for (const { text, line, title } of own) {
      it(`line ${line}`, async () => {
        const code = placed(text, broker, proxy, path.join(dir, 'ca.pem'));
        const file = path.join(dir, (title || 'example.ts').replace(/ts$/, 'mjs'));
        writeFileSync(file, stripTypeScriptTypes(code));
        const options = { cwd: dir, env: cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0' }), timeoutMs: 60_000 };
        const program = launcher.bpbroker.slice(0, -1);
        if (title.endsWith('.test.ts')) {
          const tested = await run([...testRunner(program, launcher.name), file], options);
          assert.equal(tested.code, 0, tested.stdout + tested.stderr);
          assert.ok(passedOf(tested.stdout + tested.stderr) > 20, tested.stdout + tested.stderr);
          return;
        }
        const result = await run([...program, file], options);
        assert.equal(result.code, 0, result.stderr);
        const promised = [...text.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, said = '']) => said);
        assert.equal(plain(result.stdout), plain(promised.join('')));
      });
    }
  });
}

describe('docs/library.md', () => {
  it('has every export of the package', () => {
    const manifest = readFileSync(path.join(root, 'dist', 'npm', 'package.json'), 'utf8');
    const { exports } = JSON.parse(manifest) as { exports: Record<string, string | { types: string }> };
    const page = readFileSync(path.join(root, 'docs', 'library.md'), 'utf8');
    for (const target of Object.values(exports)) {
      if (typeof target === 'string') continue;
      const missing = exportsOf(path.join(root, 'dist', 'npm', target.types)).filter(
        (name) => !page.includes(`\`${name}\``),
      );
      assert.deepEqual(missing, [], target.types);
    }
  });

  it('has types that hold in a strict project', async () => {
    const files = blocks.map(({ text, line }) => [`line-${line}.ts`, text] as const);
    const dir = consumer({
      ...Object.fromEntries(files),
      'tsconfig.json': strictProject(['*.ts'], ['node']),
    });
    const { code, stdout } = await run([process.execPath, tool('tsc'), '-p', '.'], { cwd: dir });
    assert.deepEqual([code, stdout], [0, '']);
  });
});
