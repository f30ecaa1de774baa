import { runtime } from '#runtime';
import type { FoundBroker } from '../../client/discovery/finder.ts';
import { type Deadline, deadlineIn, untilReached } from '../../client/connection/retry.ts';
import { knownBrokersFile, openKnownBrokers } from '../../client/trust/known-brokers.ts';
import { nameKey } from '../../client/trust/name-key.ts';
import { nameMismatch } from '../../client/trust/name-trust.ts';
import { DEFAULT_PORT, formatAddress } from '../../protocol/addresses/address.ts';
import { parseDuration } from '../../protocol/formats/duration.ts';
import type { Run } from '../command.ts';
import { findBrokers, whatIsSought } from '../session/locate.ts';
import { readDiscoverKey } from '../options/keys.ts';
import { createNotices } from '../terminal/notices.ts';
import { print } from '../output/output.ts';

/** Time limit of the check of one identity, in milliseconds. */
const CHECK_MS = 3000;

export const run: Run = async (args) => {
  const timeout = args.text('timeout');
  const name = args.text('name');
  const key = readDiscoverKey(args);
  const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout, '--timeout');
  const all = args.flag('all');
  const deadline = deadlineIn(timeoutMs);
  const notices = createNotices(args);
  let isRepeated = false;
  const search = async (limitMs: number | undefined): Promise<FoundBroker[]> => {
    const options = { name, key, wait: false, timeoutMs: limitMs, all, isOnlySearch: true, isRepeated };
    isRepeated = true;
    const brokers = await findBrokers(args, notices, options);
    if (name !== undefined && key === undefined && !all) await checkName(brokers, name, deadline);
    return brokers;
  };
  // No time at all would be one attempt without a limit.
  const found = args.flag('wait')
    ? await untilReached(Math.max(timeoutMs ?? Infinity, 1), search, whatIsSought(name))
    : await search(timeoutMs);
  // Without --all, several brokers share one registry: the best one is enough.
  const told = args.flag('all') ? found : found.slice(0, 1);
  const rows = told.map(({ host, port, addresses, seen, proof }) => ({
    address: host,
    port,
    addresses: [...addresses],
    ...(seen?.instance === undefined ? {} : { instance: seen.instance }),
    ...(proof ? { id: proof.id, fingerprint: `sha256:${proof.fingerprint}` } : {}),
  }));
  const [best] = told;
  await print(
    {
      // The port is printed when it is not the usual one, which clients assume.
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

/**
 * For a name that was met before, the address of another broker is not printed: a script would send its keys
 * there.
 */
async function checkName(found: readonly FoundBroker[], name: string, deadline: Deadline): Promise<void> {
  const kept = openKnownBrokers(knownBrokersFile()).get(nameKey(name));
  if (!kept) return;
  for (const broker of found) {
    const ms = Math.max(1, Math.min(CHECK_MS, deadline.left()));
    const { fingerprint } = await runtime.peerCertificate(broker, ms);
    if (fingerprint !== kept.fingerprint) throw nameMismatch(broker, name, kept.fingerprint, fingerprint);
  }
}
