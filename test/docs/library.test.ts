import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { tool } from '../../build/root.ts';
import { brokerWith } from '../programs/extension-files.ts';
import { reference, skipOf } from '../programs/support.ts';
import { createAuthority } from '../support/authority.ts';
import { cleanEnv } from '../support/clean-env.ts';
import { consumer, strictProject } from '../support/consumer.ts';
import { blocksOf } from '../support/documents.ts';
import { launchers, run, type RunningBroker } from '../support/programs.ts';
import { startTlsProxy, type TlsProxy } from '../support/tls-proxy.ts';

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
    for (const { text, line } of own) {
      it(`line ${line}`, async () => {
        const code = placed(text, broker, proxy, path.join(dir, 'ca.pem'));
        writeFileSync(path.join(dir, 'example.mjs'), stripTypeScriptTypes(code));
        const command = [...launcher.bpbroker.slice(0, -1), path.join(dir, 'example.mjs')];
        const result = await run(command, { cwd: dir, env: cleanEnv(dir, { BPBROKER_LISTEN_PORT: '0' }) });
        assert.equal(result.code, 0, result.stderr);
        const promised = [...text.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, said = '']) => said);
        assert.equal(plain(result.stdout), plain(promised.join('')));
      });
    }
  });
}

describe('docs/library.md', () => {
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
