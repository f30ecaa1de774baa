/**
 * One host of a race for a client with a discovery key. Usage: race.child.ts broker|rogue|client JSON
 * Prints one line of JSON; a rogue prints what it has done and was given at each line on stdin.
 */
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Certificate, loadCertificate } from '../../src/broker/certificate.ts';
import { openBroker } from '../../src/broker/broker.ts';
import { connectProved } from '../../src/client/client.ts';
import { discover } from '../../src/client/discovery/finder.ts';
import { defaults } from '../../src/config/schema.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import { startRogue, type Trick, tricks } from '../support/network/rogue.ts';

export interface BrokerArgs {
  readonly dir: string;
  readonly key: string;
  readonly accessKey: string;
}
export interface RogueArgs {
  readonly dir: string;
  readonly address: string;
  readonly spoofs: string;
  /** Where the broker answers its questions. */
  readonly broker: string;
}
export interface RogueReport {
  readonly sent: Readonly<Record<string, number>>;
  readonly connections: number;
  readonly bytes: number;
}
export interface ClientArgs {
  readonly races: number;
  readonly key: string;
  readonly accessKey: string;
  /** Of the broker. */
  readonly fingerprint: string;
  readonly target: string;
  readonly timeoutMs: number;
}
export interface ClientReport {
  /** Races in which it read the entry from the broker. */
  readonly right: number;
  /** Races in which it took another for the broker, or accepted anything from another. */
  readonly wrong: readonly string[];
  /** Races that it gave up, with the error's code. */
  readonly failed: readonly string[];
}

const print = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
/** The entries, by what the rogue does with a query for them. */
const names = [...tricks, 'all'];
const RIGHT = 'from the broker';
const identify = (): Promise<string> => Promise.reject(new Error('keyed replies say who they are of'));

async function serve({ dir, key, accessKey }: BrokerArgs): Promise<void> {
  const broker = await openBroker({
    file: path.join(dir, 'bpbroker.json'),
    config: { discover: { _access_key: key }, services: { _access_key: accessKey } },
  });
  for (const name of names) {
    const entry = { name, data: { _str: RIGHT }, lastWriteTs: 1, lastWriteIp: '127.0.0.1' };
    await broker.store.mutate(name, () => ({ action: 'put', entry }));
  }
  // The broker takes its time, so that the rogue is always the first to answer.
  const { get } = broker.store;
  broker.store.get = async (name) => {
    await sleep(5);
    return get(name);
  };
  print((await broker.listen()).fingerprint);
}

async function cheat({ dir, address, spoofs, broker }: RogueArgs): Promise<void> {
  const certificate: Certificate = await loadCertificate(
    defaults.api,
    path.join(dir, 'rogue.json'),
    silentLogger,
  );
  const rogue = await startRogue({
    address,
    spoofs,
    hears: '0.0.0.0',
    port: 20443,
    broker: { address: broker, port: 20443 },
    certificate,
    trick: (name) => (name === 'all' ? tricks : tricks.filter((one) => one === (name as Trick))),
  });
  createInterface(process.stdin).on('line', () => {
    const { sent, connections, received } = rogue;
    print({ sent: Object.fromEntries(sent), connections: connections(), bytes: received().length });
  });
  print('ready');
}

async function race(args: ClientArgs): Promise<void> {
  const report = { right: 0, wrong: [] as string[], failed: [] as string[] };
  for (let n = 0; n < args.races; n++) {
    const name = names[n % names.length] ?? '';
    try {
      const found = await findAndRead(name, args);
      if (found === 'right') report.right += 1;
      else report.wrong.push(`${name}: ${found}`);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      report.failed.push(`${name}: ${code ?? message}`);
    }
  }
  print(report);
}

async function findAndRead(name: string, args: ClientArgs): Promise<string> {
  const { key, accessKey, fingerprint, target, timeoutMs } = args;
  const found = await discover({
    name,
    key,
    timeoutMs: 5000,
    identify,
    targets: [target],
    interfaces: ['eth0'],
  });
  const [broker] = found;
  if (!broker || found.length !== 1) return `${found.length} brokers`;
  if (broker.proof?.fingerprint !== fingerprint) return `${broker.host} as ${broker.proof?.fingerprint}`;
  const client = await connectProved(broker, { accessKey, timeoutMs });
  try {
    const { data } = await client.get(name);
    return data === RIGHT ? 'right' : `received ${JSON.stringify(data)}`;
  } finally {
    client.close();
  }
}

const [role, json = ''] = process.argv.slice(2);
const args: unknown = JSON.parse(json);
if (role === 'broker') await serve(args as BrokerArgs);
else if (role === 'rogue') await cheat(args as RogueArgs);
else await race(args as ClientArgs);
