import { DEFAULT_PORT, formatAddress } from '../../protocol/address.ts';
import { parseDuration } from '../../protocol/duration.ts';
import type { Run } from '../command.ts';
import { findBrokers } from '../locate.ts';
import { readDiscoverKey } from '../keys.ts';
import { createNotes } from '../notes.ts';
import { print } from '../output.ts';

export const run: Run = async (args) => {
  const timeout = args.text('timeout');
  const found = await findBrokers(args, createNotes(args), {
    name: args.text('name'),
    key: readDiscoverKey(args),
    wait: args.flag('wait'),
    timeoutMs: timeout === undefined ? undefined : parseDuration(timeout, '--timeout'),
    all: args.flag('all'),
  });
  const rows = found.map(({ host, port, addresses, seen, proof }) => ({
    address: host,
    port,
    addresses: [...addresses],
    ...(seen?.instance === undefined ? {} : { instance: seen.instance }),
    ...(proof ? { id: proof.id, fingerprint: `sha256:${proof.fingerprint}` } : {}),
  }));
  const [best] = found;
  await print(
    {
      // The port is told where a client would not think of it by itself.
      text: rows.map(({ address: host, port }) =>
        port === DEFAULT_PORT ? host : formatAddress({ host, port }),
      ),
      json: args.flag('all') ? rows : (rows[0] ?? null),
      rows,
      ...(best ? { env: { BPBROKER: formatAddress(best) } } : {}),
    },
    args,
  );
};
