import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { reference, skipOf } from '../programs/support.ts';
import { type Authority, createAuthority } from '../support/network/authority.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { blocksOf } from '../support/documents/documents.ts';
import { createNetwork, endAllOn, netnsProblem, type Network } from '../support/network/netns.ts';
import { programFolder } from '../support/programs/program-folder.ts';
import { tempDir } from '../support/temp.ts';
import { createTerminal, type Terminal } from '../support/programs/terminal.ts';
import { lacking } from '../support/programs/tools.ts';
import { commandLanguages } from '../support/documents/typed-page.ts';

/** The page is typed on three hosts, each a namespace with the addresses of the page, where /etc is a folder of the test's. */
const page = 'docs/scale.md';
const hosts = { m1: ['10.0.0.1/24'], m2: ['10.0.0.2/24'], m3: ['10.0.0.3/24'] };
const names = Object.keys(hosts);

const commands = blocksOf(page).filter(({ language }) => commandLanguages.has(language));
const [member = '', migrate = ''] = commands.map(({ text }) => text);

/** What stands in for the service manager and the packages of a host: the service is what Debian's unit of etcd runs. */
const programs = {
  'apt-get': ['sh', '-c', 'test "$*" = "install etcd-server"', 'apt-get'],
  systemctl: [
    'sh',
    '-c',
    'test "$*" = "restart etcd" && set -a && . "$HOME/etc/default/etcd" && cd "$HOME" && exec setsid etcd >etcd.log 2>&1 &',
    'systemctl',
  ],
};

/** The member's own name and addresses, as the page says. */
const ownOf = (name: string, address: string): string =>
  member
    .replace('ETCD_NAME=m1', `ETCD_NAME=${name}`)
    .replaceAll(/^ETCD_(?:INITIAL_ADVERTISE|ADVERTISE|LISTEN)_.*$/gm, (line) =>
      line.replace('10.0.0.1', address),
    );

describe(page, { skip: (netnsProblem() ?? lacking('etcd', 'setsid')) || skipOf(reference) }, () => {
  let net: Network;
  let homes: string;
  let authority: Authority;
  const terminals = new Map<string, Terminal>();

  const typeOn = async (name: string, text: string): Promise<void> => {
    await terminals
      .get(name)
      ?.script(text)
      .catch((error: unknown) => {
        const log = path.join(homes, name, 'etcd.log');
        throw new Error(existsSync(log) ? readFileSync(log, 'utf8').slice(-2000) : 'etcd has not begun', {
          cause: error,
        });
      });
  };
  /** The page's file of a broker, with the places of a host. */
  const brokerFile = (name: string): { _store: Record<string, unknown> } => {
    const shown = blocksOf(page).find(({ language, text }) => language === 'json' && text.includes('_store'));
    const own = (shown?.text ?? '').replaceAll('"/etc/', `"${path.join(homes, name)}/etc/`);
    return JSON.parse(own) as { _store: Record<string, unknown> };
  };

  before(async () => {
    net = await createNetwork({ hosts });
    homes = tempDir();
    authority = await createAuthority();
    const bin = programFolder(reference, programs);
    for (const [n, name] of names.entries()) {
      const home = path.join(homes, name);
      const certificates = {
        'etcd/member': await authority.sign({ ips: [`10.0.0.${n + 1}`], isClient: true }),
        'bpbroker/broker': await authority.sign({ names: ['broker'], isClient: true }),
      };
      for (const folder of ['default', 'etcd', 'bpbroker'])
        mkdirSync(path.join(home, 'etc', folder), { recursive: true });
      for (const [at, { cert, key }] of Object.entries(certificates)) {
        const write = (file: string, text: string): void =>
          writeFileSync(path.join(home, 'etc', file), text, { mode: 0o600 });
        write(`${at}.pem`, cert);
        write(`${at}.key`, key);
        write(`${path.posix.dirname(at)}/ca.pem`, authority.cert);
      }
      const terminal = createTerminal({
        dir: home,
        known: new Map(),
        env: cleanEnv(home, { PATH: `${bin}:${process.env['PATH'] ?? ''}`, BPBROKER_INTERFACES: '' }),
        opener: ['ip', 'netns', 'exec', net.namespaceOf(name), 'bash'],
        asTyped: (text) => text.replaceAll(/(?<![\w/])\/etc\//g, `${home}/etc/`),
      });
      terminals.set(name, terminal);
    }
  });
  after(async () => {
    for (const name of names) endAllOn(net, name);
    await net.close();
  });

  it('makes a cluster of three members, as it is typed on each', async () => {
    assert.equal(commands.length, 2);
    for (const [n, name] of names.entries()) await typeOn(name, ownOf(name, `10.0.0.${n + 1}`));
  });

  it('moves the registry of a file into it', async () => {
    const { driver: _, endpoints: __, ...files } = brokerFile('m1')._store;
    const configuration = { services: { foo: { _str: 'bar' } }, _store: files };
    await typeOn('m1', `bpbroker configure <<< '${JSON.stringify(configuration)}'`);
    await typeOn(
      'm1',
      `for try in 1 2 3 4 5 6 7 8 9 10; do ${migrate.trim()} && exit; sleep 1; done; exit 1`,
    );
  });

  it('has brokers on other hosts serve it, with the file that the page shows', async () => {
    for (const name of ['m2', 'm3']) {
      const etc = path.join(homes, name, 'bpbroker', 'etc');
      mkdirSync(etc, { recursive: true });
      const configuration = { services: {}, ...brokerFile(name) };
      writeFileSync(path.join(etc, 'bpbroker.json'), JSON.stringify(configuration), { mode: 0o600 });
    }
    for (const name of names) await typeOn(name, 'bpbroker start --detach');
    await typeOn('m1', 'test "$(bpclient --quiet -b 10.0.0.2 service get --name foo)" = bar');
    await typeOn('m2', 'bpclient --quiet -b 10.0.0.2 service register --name new --data there');
    await typeOn('m3', 'test "$(bpclient --quiet -b 10.0.0.1 service get --name new)" = there');
    await typeOn('m1', 'bpclient discover --name new');
  });
});
