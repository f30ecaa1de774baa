import { isEntryMissing } from '../../protocol/registry/entry.ts';
import type { BrokerError } from '../../protocol/errors.ts';
import type { Run } from '../command.ts';
import { readDefault } from '../output/default-output.ts';
import { entryResult } from '../output/entry-output.ts';
import { print, printRaw, type Result } from '../output/output.ts';
import { withSession } from '../session/session.ts';

export const run: Run = async (args) => {
  const name = args.required('name');
  const wait = args.flag('wait');
  const instead = readDefault(args);
  await withSession(args, { name, wait }, async ({ client, notices, timeLeft, answer }) => {
    let result: Result;
    try {
      const entry = await (wait
        ? notices.during(`entry '${name}'`, client.waitFor(name, { timeoutMs: timeLeft() }))
        : client.get(name));
      if (args.flag('raw')) return printRaw(answer());
      result = entryResult(entry, { dataOnly: args.flag('data-only') });
    } catch (error) {
      if (!instead || !isEntryMissing(error, name)) throw error;
      return print(instead, args);
    }
    try {
      await print(result, args);
    } catch (error) {
      // If the entry lacks a column, nothing has been printed yet.
      if (!instead || (error as BrokerError).code !== 'not_found') throw error;
      await print(instead, args);
    }
  });
};
