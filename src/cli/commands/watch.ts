import { runtime } from '#runtime';
import type { ClientChange } from '../../client/registry/answers.ts';
import { MAX_TIMER_MS } from '../../protocol/formats/duration.ts';
import { spacedJson } from '../../protocol/registry/entry.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Run } from '../command.ts';
import { runHook } from '../child-processes/hook.ts';
import type { Notices } from '../terminal/notices.ts';
import { readCount } from '../options/numbers.ts';
import { withSession } from '../session/session.ts';
import { writeOut } from '../terminal/terminal.ts';

const TIME_IS_OVER = 'the time has passed';

export const run: Run = async (args) => {
  const name = args.text('name');
  const prefix = args.text('prefix');
  if ((name === undefined) === (prefix === undefined)) {
    throw new BrokerError(
      'usage',
      "Give either --name NAME or --prefix PREFIX ('' is every entry), and not both",
    );
  }
  const command = args.text('exec');
  const scope = name === undefined ? { prefix: prefix ?? '' } : { name };
  const begin = { initial: args.flag('initial'), after: readCount(args, 'after') };
  const count = readCount(args, 'count');
  let watching: AbortController | undefined;
  runtime.onBrokenPipe(() => {
    // Before a watch or one of its commands runs, there is nothing else to end.
    if (!watching) runtime.exit(0);
    watching.abort(new Error('the reader of the output has gone'));
  });
  // Unless the user says where to begin, a watch of an entry begins with its making, as with `--bpbroker`.
  const notesMaking = name !== undefined && !begin.initial && begin.after === undefined;
  await withSession(args, { name, wait: true, notesMaking }, async (session) => {
    const { client, notices, timeLeft } = session;
    const from = session.wasMade ? { initial: true } : begin;
    const ending = new AbortController();
    const { signal } = ending;
    watching = ending;
    // A time limit may be longer than any timer.
    const endInTime = (): void => {
      const left = timeLeft();
      if (left === 0) ending.abort(new Error(TIME_IS_OVER));
      else if (left !== undefined) setTimeout(endInTime, Math.min(left, MAX_TIMER_MS));
    };
    endInTime();
    for await (const change of client.watch({ ...scope, ...from, count, signal })) {
      if (signal.aborted) break;
      const line = lineOf(change);
      writeOut(line);
      if (command !== undefined) await execute(command, { change, line }, notices, signal);
    }
    if (signal.aborted && messageOf(signal.reason) === TIME_IS_OVER) {
      const cause = client.outOfReach();
      const reason = cause === undefined ? '' : `: ${messageOf(cause)}`;
      throw new BrokerError('timeout', `The time to watch (${args.text('timeout')}) has passed${reason}`);
    }
  });
};

/** A change in the form of the API. */
function lineOf(change: ClientChange): string {
  if (change.type !== 'put') return `${spacedJson({ ...change })}\n`;
  const { type, name, revision, data, lastWriteTs, lastWriteIp } = change;
  const stamps = { last_write_ts: lastWriteTs, last_write_ip: lastWriteIp };
  return `${spacedJson({ type, name, revision, data, ...stamps })}\n`;
}

/** Runs the user's command for one change, and reports a failure. The next change waits for the command. */
async function execute(
  command: string,
  { change, line }: { readonly change: ClientChange; readonly line: string },
  notices: Notices,
  signal: AbortSignal,
): Promise<void> {
  const outcome = await runHook({
    command,
    input: line,
    env: {
      BPBROKER_EVENT_TYPE: change.type,
      BPBROKER_EVENT_NAME: change.type === 'reset' ? '' : change.name,
      BPBROKER_EVENT_REVISION: String(change.revision),
    },
    signal,
  });
  if (outcome !== '') notices.note(`Command '${command}' failed at revision ${change.revision}: ${outcome}`);
}
