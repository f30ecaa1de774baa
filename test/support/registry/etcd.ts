import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { memoryDir } from '../../store/file/memory-dir.ts';
import { atEnd } from '../cleanup.ts';
import { freePorts } from '../network/free-port.ts';
import { waitFor } from '../wait.ts';

/** A cluster of etcd members on loopback; it is killed when the tests of this file have ended. */
export interface EtcdCluster {
  readonly endpoints: readonly string[];
  readonly members: readonly EtcdMember[];
  /** Kills what runs. */
  close(): Promise<void>;
}

export interface EtcdMember {
  readonly url: string;
  /** Sends it a signal, such as SIGSTOP or SIGCONT. */
  signal(signal: NodeJS.Signals): void;
  kill(): Promise<void>;
  /** Starts it again with what it had. */
  start(): void;
}

export interface ClusterOptions {
  /** How many members; default 3. */
  readonly members?: number;
  /** Further options of each, as `etcd` takes them. */
  readonly args?: readonly string[];
  /** For clients: PEM files of the members' certificate, its key, and the authority whose client certificates are taken. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string };
  /** How the test itself asks them; default: the global one. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Whether to wait until it has a leader; default true. */
  readonly isReady?: boolean;
}

/** Starts it, and waits until it has a leader. Use `lacking('etcd')` as the reason to skip. */
export async function startEtcd(options: ClusterOptions = {}): Promise<EtcdCluster> {
  const { members: count = 3, args = [], tls, isReady = true, fetch: ask = fetch } = options;
  const dir = memoryDir();
  const ports = await freePorts(2 * count);
  const scheme = tls ? 'https' : 'http';
  const all = Array.from({ length: count }, (_, i) => ({
    name: `m${i}`,
    client: `${scheme}://127.0.0.1:${ports[2 * i]}`,
    peer: `http://127.0.0.1:${ports[2 * i + 1]}`,
  }));
  const cluster = all.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const files = tls && {
    cert: writeIn(dir, 'member.pem', tls.cert),
    key: writeIn(dir, 'member.key', tls.key),
    ca: writeIn(dir, 'ca.pem', tls.ca),
  };
  const secured = files
    ? [
        '--cert-file',
        files.cert,
        '--key-file',
        files.key,
        '--trusted-ca-file',
        files.ca,
        '--client-cert-auth',
      ]
    : [];

  const members = all.map(({ name, client, peer }): EtcdMember => {
    let child: ChildProcess | undefined;
    const start = (): void => {
      const own = {
        name,
        'data-dir': path.join(dir, name),
        'listen-client-urls': client,
        'advertise-client-urls': client,
        'listen-peer-urls': peer,
        'initial-advertise-peer-urls': peer,
        'initial-cluster': cluster,
        'initial-cluster-token': dir,
      };
      const given = Object.entries(own).map(([key, value]) => `--${key}=${value}`);
      const output = openSync(path.join(dir, `${name}.log`), 'a');
      child = spawn('etcd', [...given, ...secured, ...args], { stdio: ['ignore', output, output] });
      closeSync(output);
    };
    start();
    return {
      url: client,
      signal: (signal) => void child?.kill(signal),
      async kill() {
        if (!child || child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      },
      start,
    };
  });
  atEnd(() => {
    for (const member of members) member.signal('SIGKILL');
  });
  // A read of the majority's state.
  const hasLeader = (): Promise<unknown> =>
    askEtcd(all[0]?.client ?? '', '/v3/kv/range', { key: 'AA==' }, ask);
  if (isReady) {
    await waitFor('the cluster to have a leader', hasLeader, 60_000).catch((error: unknown) => {
      const ends = all.map(
        ({ name }) => `${name}: ${readFileSync(path.join(dir, `${name}.log`), 'utf8').slice(-1000)}`,
      );
      throw new Error(`etcd has no leader\n${ends.join('\n')}`, { cause: error });
    });
  }
  return {
    endpoints: members.map(({ url }) => url),
    members,
    async close() {
      await Promise.all(members.map((member) => member.kill()));
    },
  };
}

/** Asks a member by its JSON gateway. Throws what it refuses. */
export async function askEtcd(
  url: string,
  at: string,
  body: object,
  ask: NonNullable<ClusterOptions['fetch']> = fetch,
): Promise<unknown> {
  const answer = await ask(url + at, { method: 'POST', body: JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`etcd answers ${answer.status} to ${at}: ${text}`);
  return JSON.parse(text);
}

function writeIn(dir: string, name: string, text: string): string {
  const file = path.join(dir, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}
