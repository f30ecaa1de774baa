import { formatDuration } from '../../protocol/formats/duration.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Arguments } from '../command.ts';
import { NO_STATUS, statusLine } from './status-line.ts';
import { isTerminal, writeError } from './terminal.ts';

/** What a command writes for a person besides its result, all of it on standard error. */
export interface Notices {
  /** Something that the user should know; not with `--quiet`. */
  note(line: string): void;
  /** A detail; only with `--verbose`. */
  detail(line: string): void;
  /** Shows on a terminal what the command waits for, from the first second on, until `work` is done. */
  during<T>(waitedFor: string, work: Promise<T>): Promise<T>;
}

export function createNotices(args: Arguments): Notices {
  const quiet = args.flag('quiet');
  return {
    note(line) {
      if (!quiet) write(line);
    },
    detail(line) {
      if (args.flag('verbose')) write(line);
    },
    async during(waitedFor, work) {
      if (quiet || !(await isTerminal(2))) return work;
      const started = performance.now();
      const timer = setInterval(() => {
        const took = formatDuration(performance.now() - started);
        writeError(statusLine(`Waiting ${took} for ${messageOf(waitedFor)} …`));
      }, 1000);
      try {
        return await work;
      } finally {
        clearInterval(timer);
        if (performance.now() - started > 1000) writeError(NO_STATUS);
      }
    },
  };
}

/** For work without a user's attention: it writes nothing. */
export const silentNotices: Notices = {
  note: () => undefined,
  detail: () => undefined,
  during: (_waitedFor, work) => work,
};

function write(line: string): void {
  writeError(`${messageOf(line)}\n`);
}
