import type { ClientEntry } from '../../client/registry/answers.ts';
import type { BrokerClient } from '../../client/client.ts';
import { MIN_TTL_MS } from '../../protocol/formats/duration.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { MAX_UNSET } from '../../protocol/registry/member-paths.ts';
import type { Run } from '../command.ts';
import { checkIsObject, GIVE_DATA, readData, readOptionalData } from '../options/data.ts';
import { entryResult } from '../output/entry-output.ts';
import { print, printRaw } from '../output/output.ts';
import type { Arguments } from '../command.ts';
import { readHeldLock } from '../lock/held-lock.ts';
import { readLifetime, readRevision } from '../options/numbers.ts';
import { withSession } from '../session/session.ts';

type Write<TData> = (
  client: BrokerClient,
  name: string,
  data: TData,
  ttlMs: number | undefined,
  args: Arguments,
) => Promise<ClientEntry>;

const command =
  <TData extends string | undefined>(read: (args: Arguments) => TData, write: Write<TData>): Run =>
  async (args) => {
    const name = args.required('name');
    const data = read(args);
    if (args.flag('json')) await checkIsObject(data, args);
    const ttlMs = readLifetime(args, MIN_TTL_MS);
    // A missing variable is said before a broker is looked for.
    readHeldLock(args);
    await withSession(args, { name }, async ({ client, answer }) => {
      const entry = await write(client, name, data, ttlMs, args);
      if (args.flag('raw')) await printRaw(answer());
      else await print(entryResult(entry, { dataOnly: args.flag('data-only') }), args);
    });
  };

export const register: Run = command(readData, (client, name, data, ttlMs, args) =>
  client.register(name, data, { ttlMs, ifSame: args.flag('if-same'), ifLocked: readHeldLock(args) }),
);

export const replace: Run = command(readData, (client, name, data, ttlMs, args) =>
  client.replace(name, data, { ttlMs, ifRevision: readRevision(args), ifLocked: readHeldLock(args) }),
);

export const update: Run = command(readUpdate, (client, name, data, ttlMs, args) =>
  client.update(name, data, {
    ttlMs,
    ifRevision: readRevision(args),
    unset: args.list('unset'),
    ifLocked: readHeldLock(args),
  }),
);

/** The data to merge in; `undefined` when members are only removed. */
function readUpdate(args: Arguments): string | undefined {
  const unset = args.list('unset');
  if (unset.length > MAX_UNSET)
    throw new BrokerError('usage', `Option --unset is given ${unset.length} times: at most ${MAX_UNSET}`);
  const data = readOptionalData(args);
  if (data === undefined && unset.length === 0)
    throw new BrokerError('usage', `${GIVE_DATA}, or name a member to remove: --unset KEY`);
  return data;
}
