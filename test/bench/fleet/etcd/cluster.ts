import { runtime } from '#runtime';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { SecureFetch } from '../../../../src/runtime/runtime.ts';
import { createAuthority } from '../../../support/network/authority.ts';
import { waitFor } from '../../../support/wait.ts';
import { freePort } from '../../../support/network/free-port.ts';
import { type Cost, costOf, sumOf } from '../process.ts';

/** An etcd cluster on loopback, over TLS throughout, each write on the disk before its answer. */
export interface Cluster {
  /** The members' client URLs. */
  readonly endpoints: readonly string[];
  /** The PEM file of the authority whose certificates the members have. */
  readonly ca: string;
  /** Of all members together. */
  readonly cost: Cost;
  /** Asks a member by the JSON gateway. */
  ask(body: object, at: string, member?: number): Promise<unknown>;
  stop(): Promise<void>;
}

/** Starts it in a folder of its own on the disk, and waits until it has a leader. */
export async function startCluster(members = 3): Promise<Cluster> {
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-fleet-'));
  const authority = await createAuthority('authority of the benchmark');
  // Members show it to each other, and their gateway to themselves, as clients.
  const { cert, key } = await authority.sign({ ips: ['127.0.0.1'], isClient: true });
  const [ca, certFile, keyFile] = ['ca.pem', 'member.pem', 'member.key'].map((name) =>
    path.join(dir, name),
  ) as [string, string, string];
  writeFileSync(ca, authority.cert);
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key, { mode: 0o600 });
  const all: { name: string; client: string; peer: string }[] = [];
  for (let i = 0; i < members; i++) {
    const [client, peer] = [await freePort(), await freePort()];
    all.push({ name: `m${i}`, client: `https://127.0.0.1:${client}`, peer: `https://127.0.0.1:${peer}` });
  }
  const common = [
    `--initial-cluster=${all.map(({ name, peer }) => `${name}=${peer}`).join(',')}`,
    `--cert-file=${certFile}`,
    `--key-file=${keyFile}`,
    `--peer-cert-file=${certFile}`,
    `--peer-key-file=${keyFile}`,
    `--peer-trusted-ca-file=${ca}`,
    '--peer-client-cert-auth',
  ];
  const running = all.map(({ name, client, peer }) => {
    const own = [
      `--name=${name}`,
      `--data-dir=${path.join(dir, name)}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
    ];
    const child = spawn('etcd', [...own, ...common], { stdio: 'ignore' });
    return { child, ended: once(child, 'exit') };
  });
  const endpoints = all.map(({ client }) => client);
  const secure: SecureFetch = await runtime.openFetch({ authorities: [authority.cert] });
  const ask: Cluster['ask'] = async (body, at, member = 0) => {
    const answer = await secure.fetch(`${endpoints[member]}${at}`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`etcd answers ${answer.status} to ${at}: ${text}`);
    return JSON.parse(text);
  };
  const stop = async (): Promise<void> => {
    secure.close();
    for (const { child } of running) child.kill('SIGKILL');
    await Promise.all(running.map(({ ended }) => ended));
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    // A read that the majority must confirm, at each of them.
    for (const i of all.keys())
      await waitFor('the cluster to have a leader', () => ask({ key: 'AA==' }, '/v3/kv/range', i));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    endpoints,
    ca,
    cost: sumOf(running.map(({ child }) => costOf(child.pid ?? 0))),
    ask,
    stop,
  };
}
