/** Members of an etcd cluster, each on a host of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import path from 'node:path';
import { waitFor } from '../../support/wait.ts';
import { memberAddress, mortal, type Scene } from './hosts.ts';

export interface Member {
  readonly namespace: string;
  readonly url: string;
  start(): void;
  kill(): Promise<void>;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
}

export interface Members {
  readonly all: readonly Member[];
  readonly endpoints: readonly string[];
  /** Asks one that answers by the JSON gateway; throws when none does. */
  ask<T>(at: string, body: object): Promise<T>;
  /** The place of the leader in `all`; -1 where none is known. */
  leader(): Promise<number>;
  /** Ends all. */
  close(): Promise<void>;
}

export async function startMembers({ namespaces, scratch, memory }: Scene): Promise<Members> {
  const places = [0, 1, 2];
  const peers = places.map((i) => `m${i}=http://${memberAddress(i)}:2380`).join(',');
  const log = openSync(path.join(scratch, 'etcd.log'), 'a');
  const all = places.map((i): Member => {
    const namespace = namespaces[`m${i}`] ?? '';
    const client = `http://${memberAddress(i)}:2379`;
    const peer = `http://${memberAddress(i)}:2380`;
    const options = {
      name: `m${i}`,
      'data-dir': path.join(memory, `m${i}`),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': peers,
    };
    const args = Object.entries(options).map(([key, value]) => `--${key}=${value}`);
    let child: ChildProcess | undefined;
    return {
      namespace,
      url: client,
      start() {
        const command = ['netns', 'exec', namespace, ...mortal, 'etcd', ...args];
        child = spawn('ip', command, { stdio: ['ignore', log, log] });
      },
      async kill() {
        if (!child || child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      },
      signal: (signal) => void child?.kill(signal),
    };
  });
  for (const member of all) member.start();
  const members: Members = {
    all,
    endpoints: all.map(({ url }) => url),
    async ask<T>(at: string, body: object) {
      const init = { method: 'POST', body: JSON.stringify(body) };
      return await Promise.any(
        all.map(async ({ url }) => {
          const answer = await fetch(url + at, { ...init, signal: AbortSignal.timeout(2000) });
          if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${await answer.text()}`);
          return (await answer.json()) as T;
        }),
      );
    },
    async leader() {
      const status = await members
        .ask<{ leader?: string }>('/v3/maintenance/status', {})
        .catch(() => ({ leader: undefined }));
      const own = await Promise.all(all.map(({ url }) => memberId(url)));
      return status.leader === undefined ? -1 : own.indexOf(status.leader);
    },
    async close() {
      await Promise.all(all.map((member) => member.kill()));
    },
  };
  await waitFor('a leader', () => members.ask('/v3/kv/range', { key: 'AA==' }));
  return members;
}

async function memberId(url: string): Promise<string | undefined> {
  try {
    const init = { method: 'POST', body: '{}', signal: AbortSignal.timeout(500) };
    const answer = await fetch(`${url}/v3/maintenance/status`, init);
    return ((await answer.json()) as { header: { member_id?: string } }).header.member_id;
  } catch {
    return undefined;
  }
}
