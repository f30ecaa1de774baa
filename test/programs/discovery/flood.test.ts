import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { addressOf } from '../../bench/fleet/node.ts';
import { CLUSTER, discoveryOf } from '../../bench/fleet/phases.ts';
import { type FloodKind, startFlood } from '../../support/network/flood.ts';
import { sendRaw } from '../../support/network/raw.ts';
import { launchers, type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { waitFor } from '../../support/wait.ts';
import { connectTo, skipOf } from '../support.ts';

const NODES = 40;
/** Enough that a second of it would use up any limit that all share; the benchmark has 20,000. */
const PER_SECOND = 3000;
const ours = Array.from({ length: NODES }, (_, index) => addressOf(index));
const others = Array.from({ length: 250 }, (_, i) => `127.200.0.${i + 1}`);

/** Each kind of flood, and whether its source may be forged as that of a client which still is answered. */
const floods: readonly (readonly [form: 'open' | 'keyed', kind: FloodKind, from: readonly string[]])[] = [
  ['open', 'garbage', ours],
  ['open', 'names not held', ours],
  ['open', 'valid queries', others],
  ['open', 'short valid queries', others],
  ['keyed', 'garbage', ours],
  ['keyed', 'valid queries', ours],
  ['keyed', 'captured queries', ours],
];

/** The datagrams of others that a broker has dealt with. */
async function dealtWith({ port }: RunningBroker): Promise<number> {
  const { text } = await sendRaw(port, 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n', { responses: 1 });
  const counts = text.matchAll(/^bpbroker_discovery_queries_total\{[^}]*\} (\d+)\r?$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

const isLinux = process.platform === 'linux';
const tried = launchers.filter(({ name }) => ['executable', 'node24', 'deno'].includes(name));

for (const launcher of tried) {
  describe(
    `row "a flood": discovery of a broker on ${launcher.name}`,
    { skip: isLinux ? skipOf(launcher) : 'a loopback address for each node is of Linux' },
    () => {
      for (const [form, kind, from] of floods) {
        const whose = from === ours ? 'the clients themselves' : 'other hosts';
        it(`answers each client of the ${form} form beside ${kind} that seem to come from ${whose}`, async () => {
          const key = form === 'keyed' ? randomBytes(32).toString('hex') : '';
          const config = { services: {}, ...(key === '' ? {} : { discover: { _access_key: key } }) };
          const broker = await startBroker(launcher, { config });
          const { port } = broker;
          await (await connectTo(broker)).register(CLUSTER, 'here');
          const flood = await startFlood({ port, perSecond: PER_SECOND, kind, name: CLUSTER, key, from });
          await waitFor(
            'the flood to reach the broker',
            async () => (await dealtWith(broker)) > PER_SECOND / 2,
          );
          const { failures } = await discoveryOf({
            nodes: NODES,
            ports: [port],
            ...(key === '' ? {} : { key }),
          });
          const perSecond = await flood.end();
          assert.deepEqual(failures, {}, `beside ${perSecond} datagrams a second`);
          await broker.stop();
        });
      }
    },
  );
}
