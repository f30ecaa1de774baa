import { spacedJson } from '../../protocol/registry/entry.ts';
import type { Run } from '../command.ts';
import { print, printRaw } from '../output/output.ts';
import { withSession } from '../session/session.ts';

export const run: Run = async (args) => {
  const wait = args.flag('wait');
  const data = args.text('data') ?? '';
  await withSession(args, { wait }, async ({ client, notices, timeLeft, answer }) => {
    const pong = await (wait
      ? notices.during(
          'the broker',
          client.ping(data, { wait, timeoutMs: Math.max(timeLeft() ?? Infinity, 1) }),
        )
      : client.ping(data));
    if (args.flag('raw')) return printRaw(answer());
    const row = { src: pong.src, data: pong.data };
    const text = typeof pong.data === 'string' ? pong.data : spacedJson(pong.data);
    await print({ text: [text], json: row, rows: [row] }, args);
  });
};
