import type { ClientEntry } from '../../client/answers.ts';
import type { BrokerClient } from '../../client/client.ts';
import { parseDuration } from '../../protocol/duration.ts';
import type { Run } from '../command.ts';
import { readData } from '../data.ts';
import { entryResult } from '../entry-output.ts';
import { print, printRaw } from '../output.ts';
import type { Arguments } from '../command.ts';
import { readHeldLock } from '../held-lock.ts';
import { readRevision } from '../numbers.ts';
import { withSession } from '../session.ts';

type Write = (
  client: BrokerClient,
  name: string,
  data: string,
  ttlMs: number | undefined,
  args: Arguments,
) => Promise<ClientEntry>;

const command =
  (write: Write): Run =>
  async (args) => {
    const name = args.required('name');
    const data = readData(args);
    const ttl = args.text('ttl');
    const ttlMs = ttl === undefined ? undefined : parseDuration(ttl, '--ttl');
    await withSession(args, { name }, async ({ client, answer }) => {
      const entry = await write(client, name, data, ttlMs, args);
      if (args.flag('raw')) await printRaw(answer());
      else await print(entryResult(entry), args);
    });
  };

export const register: Run = command((client, name, data, ttlMs, args) =>
  client.register(name, data, { ttlMs, ifSame: args.flag('if-same'), ifLocked: readHeldLock(args) }),
);

export const replace: Run = command((client, name, data, ttlMs, args) =>
  client.replace(name, data, { ttlMs, ifRevision: readRevision(args), ifLocked: readHeldLock(args) }),
);

export const update: Run = command((client, name, data, ttlMs, args) =>
  client.update(name, data, { ttlMs, ifRevision: readRevision(args), ifLocked: readHeldLock(args) }),
);
