import type { Run } from '../command.ts';
import { readRevision } from '../options/numbers.ts';
import { entryResult } from '../output/entry-output.ts';
import { print, printRaw } from '../output/output.ts';
import { withSession } from '../session/session.ts';

export const run: Run = async (args) => {
  const name = args.required('name');
  const ifRevision = readRevision(args);
  await withSession(args, { name }, async ({ client, answer }) => {
    const entry = await client.renew(name, { ifRevision });
    if (args.flag('raw')) await printRaw(answer());
    else await print(entryResult(entry, { dataOnly: args.flag('data-only') }), args);
  });
};
