/** Brokers over the cluster, each a process on a host of its own. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import path from 'node:path';
import { type Answer, ask, type Broker, start } from '../broker.ts';
import type { Program } from '../programs.ts';
import { brokerAddress, mortal, type Scene } from './hosts.ts';

export interface Door {
  readonly namespace: string;
  readonly address: string;
  /** Starts it, as another program if one is given; throws its output when it is not ready within 30 s. */
  start(program?: Program): Promise<void>;
  kill(): Promise<void>;
  /** SIGTERM, and SIGKILL where that takes more than 15 s. */
  stop(): Promise<void>;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  call(method: string, body: object, timeoutMs?: number): Promise<Answer>;
  /** GET of a path. */
  look(at: string, timeoutMs?: number): Promise<Answer>;
}

export const BROKER_PORT = 20_443;
const READY_MS = 30_000;

export function createDoor(
  i: number,
  { namespaces, scratch }: Scene,
  endpoints: readonly string[],
  first: Program,
): Door {
  const namespace = namespaces[`b${i}`] ?? '';
  const address = brokerAddress(i);
  const dir = path.join(scratch, `b${i}`);
  mkdirSync(dir);
  const file = path.join(dir, 'bpbroker.json');
  // Each prefers another member.
  const own = endpoints.map((_, at) => endpoints[(at + i) % endpoints.length] ?? '');
  writeFileSync(
    file,
    JSON.stringify({
      api: { listen_port: BROKER_PORT, listen_ip: address },
      services: {},
      discover: {},
      _config: { backup_freq_secs: 0 },
      _store: { driver: 'etcd', endpoints: own },
    }),
  );
  let program = first;
  let broker: Broker | undefined;
  const to = { host: address, port: BROKER_PORT };
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: false, maxSockets: 256 });
  const looking = new Agent({ keepAlive: false, rejectUnauthorized: false });
  return {
    namespace,
    address,
    async start(other = program) {
      program = other;
      const begun = await start(program.command, file, {
        wrap: ['ip', 'netns', 'exec', namespace, ...mortal],
        timeoutMs: READY_MS,
      });
      if ('refused' in begun) throw new Error(`${program.name} is not ready: ${begun.refused}`);
      broker = begun;
    },
    async kill() {
      await broker?.kill();
    },
    async stop() {
      await broker?.stop();
    },
    signal: (signal) => void broker?.child.kill(signal),
    call: async (method, body, timeoutMs = 10_000) =>
      await ask(agent, to, `/services/${method}`, body, timeoutMs),
    look: async (at, timeoutMs = 5000) => await ask(looking, to, at, undefined, timeoutMs),
  };
}
