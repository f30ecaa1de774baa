import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { reference, skipOf } from '../programs/support.ts';
import { createAuthority } from '../support/network/authority.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { type Abbreviations, blocksOf } from '../support/documents/documents.ts';
import { createNetwork, endAllOn, netnsProblem, type NetworkOptions } from '../support/network/netns.ts';
import { programFolder } from '../support/programs/program-folder.ts';
import { startBroker } from '../support/programs/programs.ts';
import { tempDir } from '../support/temp.ts';
import { createTerminal, type TerminalOptions } from '../support/programs/terminal.ts';
import { startTlsProxy } from '../support/network/tls-proxy.ts';
import { commandLanguages, type Place, typePage } from '../support/documents/typed-page.ts';

/** The pages of docs/how-to are typed in order, on three servers that a page names `server1` to `server3`. */

const folder = 'docs/how-to';
const pages = readdirSync(path.join(root, folder)).map((name) => `${folder}/${name}`);
const proxied = `${folder}/behind-a-proxy.md`;

const oneNetwork = { server1: ['10.0.0.1/24'], server2: ['10.0.0.2/24'], server3: ['10.0.0.3/24'] };
/** A broadcast of one reaches no other, as on most clouds. */
const cloud: NetworkOptions = {
  hosts: {
    server1: ['10.0.0.1/24'],
    server2: ['10.0.1.2/24'],
    server3: ['10.0.2.3/24'],
    router: ['10.0.0.254/24', '10.0.1.254/24', '10.0.2.254/24'],
  },
  routes: {
    server1: ['default via 10.0.0.254'],
    server2: ['default via 10.0.1.254'],
    server3: ['default via 10.0.2.254'],
  },
  routers: ['router'],
};

/** What is on a server before the page is begun. */
const prepared: Readonly<Record<string, (tree: string) => void>> = {
  [`${folder}/from-0.22.md`]: (tree) => {
    mkdirSync(path.join(tree, 'etc'), { recursive: true });
    const file = path.join(root, 'test', 'fixtures', '0.22', 'bpbroker.json');
    copyFileSync(file, path.join(tree, 'etc', 'bpbroker.json'));
  },
};

/** No server of these has sshd: `scp FILE… SERVER:[FILE]` copies from home to home. */
function scpBetween(homes: string, bin: string): void {
  const script = `#!/bin/sh
for to; do :; done
while [ $# -gt 1 ]; do cp "$1" '${homes}'/"\${to%%:*}/\${to#*:}" || exit; shift; done
`;
  writeFileSync(path.join(bin, 'scp'), script);
  chmodSync(path.join(bin, 'scp'), 0o755);
}

async function typeOnServers(page: string): Promise<void> {
  const network = page.endsWith('cloud-without-broadcast.md') ? cloud : { hosts: oneNetwork };
  const net = await createNetwork(network);
  const homes = tempDir();
  const bin = programFolder(reference);
  scpBetween(homes, bin);
  const known: Abbreviations = new Map();
  const places = new Map<string, Place>();
  const placeOf = (name: string): Place => {
    const dir = path.join(homes, name);
    const tree = path.join(dir, 'bpbroker');
    const options: TerminalOptions = {
      dir,
      known,
      env: cleanEnv(dir, { PATH: `${bin}:${process.env['PATH'] ?? ''}`, BPBROKER_INTERFACES: '' }),
      opener: ['ip', 'netns', 'exec', net.namespaceOf(name), 'bash'],
      asShown: (text) => text.replaceAll(tree, '/usr/local/bpbroker'),
      asTyped: (text) => text.replaceAll('/usr/local/bpbroker', tree),
    };
    const place = places.get(name) ?? { dir, terminal: createTerminal(options) };
    places.set(name, place);
    return place;
  };
  try {
    for (const name of Object.keys(oneNetwork)) mkdirSync(path.join(homes, name));
    prepared[page]?.(path.join(homes, 'server1', 'bpbroker'));
    await typePage(blocksOf(page), placeOf);
  } finally {
    for (const name of Object.keys(oneNetwork)) endAllOn(net, name);
    await net.close();
  }
}

const isTyped = (page: string): boolean =>
  blocksOf(page).some(({ language, mark }) => commandLanguages.has(language) && mark === '');

describe(folder, { skip: (netnsProblem() ?? false) || skipOf(reference) }, () => {
  for (const page of pages.filter((name) => name !== proxied && isTyped(name)))
    it(`${path.basename(page)} works as it is typed`, () => typeOnServers(page));
});

describe(proxied, { skip: skipOf(reference) }, () => {
  it('works as it is typed, with the proxy of the tests in place of nginx', async () => {
    const dir = tempDir();
    const authority = await createAuthority();
    writeFileSync(path.join(dir, 'company.pem'), authority.cert);
    const broker = await startBroker(reference);
    const certificate = await authority.sign({ names: ['localhost'] });
    const proxy = await startTlsProxy({ certificate, to: broker.port, prefix: '/registry' });
    const terminal = createTerminal({
      dir,
      known: new Map(),
      env: cleanEnv(dir, { PATH: `${programFolder(reference)}:${process.env['PATH'] ?? ''}` }),
      asTyped: (text) => text.replaceAll('broker.example.com', `localhost:${proxy.port}`),
    });
    await typePage(blocksOf(proxied), () => ({ dir, terminal }));
    assert.ok(proxy.requests.length >= 2);
    await broker.kill();
  });
});
