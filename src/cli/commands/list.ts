import type { Run } from '../command.ts';
import { countResult, listResult } from '../output/entry-output.ts';
import { readCount } from '../options/numbers.ts';
import { print } from '../output/output.ts';
import { withSession } from '../session/session.ts';

export const run: Run = async (args) => {
  const prefix = args.text('prefix') ?? '';
  const wanted = readCount(args, 'wait-count');
  const isCount = args.flag('count');
  await withSession(args, { wait: wanted !== undefined }, async ({ client, notices, timeLeft }) => {
    const waitFor = <T>(waiting: Promise<T>): Promise<T> =>
      notices.during(`${wanted} entries under '${prefix}'`, waiting);
    const options = { timeoutMs: timeLeft() };
    if (isCount) {
      const { count } = await (wanted === undefined
        ? client.count(prefix)
        : waitFor(client.waitForCount(wanted, prefix, options)));
      await print(countResult(count), args);
      return;
    }
    const { entries } = await (wanted === undefined
      ? client.list(prefix)
      : waitFor(client.waitForCount(wanted, prefix, { ...options, entries: true })));
    await print(listResult(entries, { dataOnly: args.flag('data-only') }), args);
  });
};
