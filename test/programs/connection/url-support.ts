import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Authority, createAuthority, type LeafPair } from '../../support/network/authority.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { type Launcher, run, type RunningBroker, type RunResult } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { startTlsProxy, type TlsProxy } from '../../support/network/tls-proxy.ts';
import { brokerWith } from '../extensions/extension-files.ts';
import { reference, type Running, start } from '../support.ts';

/** The access key of the broker's entries. */
export const key = 'a-key-that-must-not-leave-before-the-check';

/** The path at which the proxies have the broker. */
export const prefix = '/deep/er';

/** `Steps` prints one line, and the next when the named file exists. */
const slow = `
import { existsSync } from 'node:fs';
export async function* Steps({ data, signal }) {
  yield 'one\\n';
  while (!existsSync(data) && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 20));
  yield 'two\\n';
}
`;

/** A broker behind a proxy. */
export interface Proxied {
  readonly authority: Authority;
  readonly broker: RunningBroker;
  readonly proxy: TlsProxy;
  /** The proxy's certificate, for `localhost` and 127.0.0.1. */
  readonly certificate: LeafPair;
  /** A file of this setting: `ca.pem`, `other.pem`, `both.pem`, `empty.pem`. */
  file(name: string): string;
  /** The broker's URL by way of the proxy, or of another one. */
  url(host?: string, at?: TlsProxy): string;
}

export async function openProxied(): Promise<Proxied> {
  const dir = tempDir();
  const authority = await createAuthority();
  const other = await createAuthority('another authority');
  const certificate = await authority.sign({ names: ['localhost'], ips: ['127.0.0.1'] });
  const file = (name: string): string => path.join(dir, name);
  writeFileSync(file('ca.pem'), authority.cert);
  writeFileSync(file('other.pem'), other.cert);
  writeFileSync(file('both.pem'), `Two of them:\n${other.cert}${authority.cert}`);
  writeFileSync(file('empty.pem'), '');
  const broker = await brokerWith(reference, { 'slow.mjs': slow }, { services: { _access_key: key } });
  const proxy = await startTlsProxy({ certificate, to: broker.port, prefix });
  const url = (host = 'localhost', at = proxy): string => `https://${host}:${at.port}${prefix}`;
  return { authority, broker, proxy, certificate, file, url };
}

/** Runs a client command in a home of its own. */
export function client(
  launcher: Launcher,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RunResult> {
  const home = tempDir();
  return run([...launcher.bpclient, ...args], { cwd: home, env: cleanEnv(home, env) });
}

/** The same, while the test goes on. */
export function background(launcher: Launcher, args: readonly string[]): Running {
  const home = tempDir();
  return start([...launcher.bpclient, ...args], { cwd: home, env: cleanEnv(home) });
}
