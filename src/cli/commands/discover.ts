import { formatAddress } from '../../protocol/address.ts';
import { parseDuration } from '../../protocol/duration.ts';
import type { Run } from '../command.ts';
import { findBrokers } from '../locate.ts';
import { createNotes } from '../notes.ts';
import { print } from '../output.ts';

export const run: Run = async (args) => {
  const timeout = args.text('timeout');
  const found = await findBrokers(args, createNotes(args), {
    name: args.required('name'),
    wait: args.flag('wait'),
    timeoutMs: timeout === undefined ? undefined : parseDuration(timeout, '--timeout'),
    all: args.flag('all'),
  });
  const rows = found.map(({ host, port, addresses }) => ({ address: host, port, addresses: [...addresses] }));
  const [best] = found;
  print(
    {
      text: rows.map(({ address }) => address),
      json: args.flag('all') ? rows : (rows[0] ?? null),
      rows,
      ...(best ? { env: { BPBROKER: formatAddress(best) } } : {}),
    },
    args,
  );
};
