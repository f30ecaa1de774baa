import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { createNetwork, netnsProblem, type Network } from '../support/network/netns.ts';
import { tricks } from '../support/network/rogue.ts';
import { tempDir } from '../support/temp.ts';
import type { BrokerArgs, ClientArgs, ClientReport, RogueArgs, RogueReport } from './race.child.ts';

/**
 * Clients with a key find their broker while a rogue on a host of its own answers every query first, from its own address
 * and from the broker's. One client is under an ARP attack besides: what it sends to the broker's first address arrives at
 * the rogue, which presents another certificate there. `BPBROKER_LONG=1` runs 1,000 races.
 */
const racesEach = process.env['BPBROKER_LONG'] === '1' ? 200 : 6;

const child = path.join(import.meta.dirname, `race.child${path.extname(import.meta.filename)}`);
const key = randomBytes(32).toString('hex');
const accessKey = `canary-${randomBytes(8).toString('hex')}`;

/** Starts a host's part; returns what it prints first, and a way to have it print again. */
async function begin(net: Network, host: string, role: string, args: BrokerArgs | RogueArgs): Promise<Part> {
  const command = [process.execPath, child, role, JSON.stringify(args)];
  const running: ChildProcess = net.spawn(host, command, { stdio: ['pipe', 'pipe', 'inherit'] });
  assert.ok(running.stdout && running.stdin);
  const lines = createInterface(running.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => JSON.parse((await lines.next()).value as string);
  const first = await next();
  return {
    first,
    report() {
      running.stdin?.write('report\n');
      return next();
    },
  };
}

interface Part {
  readonly first: unknown;
  report(): Promise<unknown>;
}

const run = async (net: Network, host: string, args: ClientArgs): Promise<ClientReport> => {
  const command = [process.execPath, child, 'client', JSON.stringify(args)];
  const { stdout, stderr } = await net.run(host, command, { timeoutMs: 280_000 });
  assert.equal(stderr, '');
  return JSON.parse(stdout) as ClientReport;
};

const clients = ['c1', 'c2', 'c3', 'c4', 'poisoned'];
const addressOf = (n: number): string => `10.77.1.${n}/24`;

describe('a race for a client with a key', { skip: netnsProblem() ?? false }, () => {
  it(`row "a rogue broker answers first": it is never won by one: ${clients.length * racesEach} races`, async (t) => {
    const net = await createNetwork({
      hosts: {
        broker: [addressOf(1), addressOf(2)],
        rogue: [addressOf(66)],
        ...Object.fromEntries(clients.map((client, n) => [client, [addressOf(11 + n)]])),
        lost: [addressOf(20)],
      },
    });
    // The rogue has the broker's address too, for what it sends and for what is misled to it, and tells nobody.
    await net.run('rogue', ['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore']);
    net.ip('rogue', 'address', 'add', '10.77.1.1/32', 'dev', 'lo');
    // And it hears the broker's answers to its own questions, which must not seem to come from itself.
    net.ip('broker', 'route', 'add', '10.77.1.66/32', 'dev', 'eth0', 'src', '10.77.1.2');
    const { stdout } = await net.run('rogue', ['cat', '/sys/class/net/eth0/address']);
    const mislead = (host: string, address: string): void =>
      net.ip(host, 'neigh', 'replace', address, 'lladdr', stdout.trim(), 'dev', 'eth0', 'nud', 'permanent');
    mislead('poisoned', '10.77.1.1');
    for (const address of ['10.77.1.1', '10.77.1.2']) mislead('lost', address);

    const broker = await begin(net, 'broker', 'broker', { dir: tempDir(), key, accessKey });
    const rogue = await begin(net, 'rogue', 'rogue', {
      dir: tempDir(),
      address: '10.77.1.66',
      spoofs: '10.77.1.1',
      broker: '10.77.1.2',
    });
    const fingerprint = broker.first as string;
    const args = { races: racesEach, key, accessKey, fingerprint, target: '10.77.1.66', timeoutMs: 10_000 };
    const reports = await Promise.all(clients.map((host) => run(net, host, args)));
    const told = (await rogue.report()) as RogueReport;

    const right = reports.reduce((sum, report) => sum + report.right, 0);
    const wrong = reports.flatMap((report) => report.wrong);
    const failed = reports.flatMap((report) => report.failed);
    t.diagnostic(
      `${clients.length * racesEach} races: ${right} reached the broker, ${wrong.length} wrong brokers chosen, ${failed.length} given up; ` +
        `the rogue sent ${JSON.stringify(told.sent)}, saw ${told.connections} TLS connections and ${told.bytes} bytes of application data`,
    );
    assert.deepEqual([wrong, told.bytes], [[], 0]);
    assert.deepEqual([right, failed], [clients.length * racesEach, []]);
    for (const trick of tricks) assert.ok((told.sent[trick] ?? 0) > 0, `the rogue has tried: ${trick}`);
    assert.ok(told.connections >= racesEach, 'the poisoned client has met the other certificate');

    // Where every address of the broker leads elsewhere, nothing is sent and nothing is believed.
    const lost = await run(net, 'lost', { ...args, races: 1, timeoutMs: 10_000 });
    assert.deepEqual(lost, { right: 0, wrong: [], failed: [`${tricks[0]}: identity_mismatch`] });
    assert.equal(((await rogue.report()) as RogueReport).bytes, 0);
    await net.close();
  });
});
