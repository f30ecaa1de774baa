import { BrokerError } from '../../protocol/errors.ts';
import type { Run } from '../command.ts';
import { readHeldLock } from '../lock/held-lock.ts';
import { readRevision } from '../options/numbers.ts';
import { printRaw } from '../output/output.ts';
import { withSession } from '../session/session.ts';

export const run: Run = async (args) => {
  const name = args.text('name');
  const prefix = args.text('prefix');
  if ((name === undefined) === (prefix === undefined))
    throw new BrokerError('usage', 'Give either --name NAME or --prefix PREFIX, and not both');
  if (prefix === '')
    throw new BrokerError(
      'usage',
      "Invalid --prefix '': expected one that is not empty, since that would be every entry",
    );
  const ifRevision = readRevision(args);
  const ifLocked = readHeldLock(args);
  await withSession(args, { name }, async ({ client, notices, answer }) => {
    if (name === undefined) {
      const { count } = await client.deletePrefix(prefix ?? '', { ifLocked });
      notices.detail(`Entries deleted: ${count}`);
      return;
    }
    await client.delete(name, { ifRevision, ifLocked });
    if (args.flag('raw')) await printRaw(answer());
  });
};
