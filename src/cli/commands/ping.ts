import { untilReached } from '../../client/connection/retry.ts';
import { spacedJson } from '../../protocol/registry/entry.ts';
import type { Run } from '../command.ts';
import { print, printRaw } from '../output/output.ts';
import { withSession } from '../session/session.ts';

/** Longest time for one ping of a command that waits, in milliseconds. */
const ATTEMPT_MS = 10_000;

export const run: Run = async (args) => {
  const wait = args.flag('wait');
  const data = args.text('data') ?? '';
  await withSession(args, { wait }, async ({ client, notices, timeLeft, answer }) => {
    const pong = await (wait
      ? notices.during(
          'the broker',
          untilReached(Math.max(timeLeft() ?? Infinity, 1), (leftMs) =>
            client.ping(data, { timeoutMs: Math.min(leftMs, ATTEMPT_MS) }),
          ),
        )
      : client.ping(data));
    if (args.flag('raw')) return printRaw(answer());
    const row = { src: pong.src, data: pong.data };
    const text = typeof pong.data === 'string' ? pong.data : spacedJson(pong.data);
    await print({ text: [text], json: row, rows: [row] }, args);
  });
};
