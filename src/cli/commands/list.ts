import type { Run } from '../command.ts';
import { listResult } from '../entry-output.ts';
import { readCount } from '../numbers.ts';
import { print } from '../output.ts';
import { withSession } from '../session.ts';

export const run: Run = async (args) => {
  const prefix = args.text('prefix') ?? '';
  const count = readCount(args, 'wait-count');
  await withSession(args, { wait: count !== undefined }, async ({ client, notes, timeLeft }) => {
    const { entries } = await (count === undefined
      ? client.list(prefix)
      : notes.during(
          `${count} entries under '${prefix}'`,
          client.waitForCount(count, prefix, { timeoutMs: timeLeft() }),
        ));
    await print(listResult(entries), args);
  });
};
