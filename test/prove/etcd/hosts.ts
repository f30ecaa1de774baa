/** Three members, three brokers and their clients as hosts of their own: two networks, so that each can be cut off from either. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { root, tool } from '../../../build/root.ts';
import { createNetwork, type Network, netnsProblem } from '../../support/network/netns.ts';
import { killIfThere } from '../../support/teardown.ts';
import { lacking } from '../../support/programs/tools.ts';
import type { RowResult, RowSetup } from '../row.ts';

/** What is run on the host of the clients; see `scene.ts`. */
export interface Scene {
  readonly scene: 'histories' | 'watches';
  readonly short: boolean;
  readonly seed: number;
  readonly scratch: string;
  /** A folder for the members' data: not on a disk, since members that die are tried, and not disks. */
  readonly memory: string;
  /** The network namespaces, by host. */
  readonly namespaces: Readonly<Record<string, string>>;
}

/** Addresses: members and brokers meet on 10.77.0.0/24, brokers and clients on 10.78.0.0/24. */
export const memberAddress = (i: number): string => `10.77.0.${i + 1}`;
export const brokerAddress = (i: number): string => `10.78.0.${i + 11}`;
const hosts: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries([0, 1, 2].map((i) => [`m${i}`, [`${memberAddress(i)}/24`]])),
  ...Object.fromEntries([0, 1, 2].map((i) => [`b${i}`, [`10.77.0.${i + 11}/24`, `${brokerAddress(i)}/24`]])),
  clients: ['10.77.0.100/24', '10.78.0.100/24'],
};

/** Ends with its parent. */
export const mortal: readonly string[] = ['setpriv', '--pdeathsig', 'KILL'];

export const skipEtcd = (): string | false => lacking('etcd', 'nft', 'setpriv') || (netnsProblem() ?? false);

/** Runs a scene to its end, in a process on the clients' host. */
export async function runScene(scene: Scene['scene'], setup: RowSetup): Promise<RowResult> {
  const { short, seed, scratch, say } = setup;
  const network = await createNetwork({ hosts });
  const names = Object.keys(hosts);
  const namespaces = Object.fromEntries(names.map((host) => [host, network.namespaceOf(host)]));
  const memory = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : scratch, 'bpbroker-prove-'));
  const told: Scene = { scene, short, seed, scratch, memory, namespaces };
  try {
    return await runThere(network, told, say);
  } finally {
    for (const host of names) killAllIn(network.namespaceOf(host));
    await network.close();
    rmSync(memory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function runThere(network: Network, told: Scene, say: (line: string) => void): Promise<RowResult> {
  const script = path.join(root, 'test', 'prove', 'etcd', 'scene.ts');
  const inside = ['netns', 'exec', network.namespaceOf('clients'), ...mortal, tool('node'), script];
  const child = spawn('ip', [...inside, JSON.stringify(told)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: root,
  });
  let result: RowResult | undefined;
  let errors = '';
  child.stderr.on('data', (bytes) => (errors = (errors + String(bytes)).slice(-4000)));
  const ended = once(child, 'close');
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('{"figures"')) result = JSON.parse(line) as RowResult;
    else say(line);
  }
  await ended;
  return result ?? { figures: 'failed', broken: [`the scene ended with ${child.exitCode}: ${errors}`] };
}

/** What runs in a namespace has been started for it. */
function killAllIn(namespace: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' });
  for (const pid of stdout.split('\n').filter(Boolean)) killIfThere(Number(pid));
}
