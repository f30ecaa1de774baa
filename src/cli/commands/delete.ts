import type { Run } from '../command.ts';
import { readHeldLock } from '../held-lock.ts';
import { readRevision } from '../numbers.ts';
import { printRaw } from '../output.ts';
import { withSession } from '../session.ts';

export const run: Run = async (args) => {
  const name = args.required('name');
  await withSession(args, { name }, async ({ client, answer }) => {
    await client.delete(name, { ifRevision: readRevision(args), ifLocked: readHeldLock(args) });
    if (args.flag('raw')) await printRaw(answer());
  });
};
