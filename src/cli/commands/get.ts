import type { Run } from '../command.ts';
import { entryResult } from '../entry-output.ts';
import { print, printRaw } from '../output.ts';
import { withSession } from '../session.ts';

export const run: Run = async (args) => {
  const name = args.required('name');
  const wait = args.flag('wait');
  await withSession(args, { name, wait }, async ({ client, notes, timeLeft, answer }) => {
    const entry = await (wait
      ? notes.during(`entry '${name}'`, client.waitFor(name, { timeoutMs: timeLeft() }))
      : client.get(name));
    if (args.flag('raw')) await printRaw(answer());
    else await print(entryResult(entry), args);
  });
};
