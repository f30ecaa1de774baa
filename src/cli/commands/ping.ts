import { spacedJson } from '../../protocol/entry.ts';
import type { Run } from '../command.ts';
import { print, printRaw } from '../output.ts';
import { withSession } from '../session.ts';

export const run: Run = async (args) => {
  await withSession(args, {}, async ({ client, answer }) => {
    const { data, src } = await client.ping(args.text('data') ?? '');
    if (args.flag('raw')) return printRaw(answer());
    const row = { src, data };
    await print({ text: [typeof data === 'string' ? data : spacedJson(data)], json: row, rows: [row] }, args);
  });
};
