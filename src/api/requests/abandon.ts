import type { Reply } from '../../modules/module.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';

/** Ends an answer unread. An error of its module at that moment is logged, since no caller gets it. */
export function abandon({ body }: Pick<Reply, 'body'>, log: Logger): void {
  if (typeof body !== 'object' || !(Symbol.asyncIterator in body)) return;
  const ended = async (): Promise<unknown> => body[Symbol.asyncIterator]().return?.();
  logFailure(ended(), log);
}

/** Logs the error of an answer's end that has no reader. */
export function logFailure(end: Promise<unknown>, log: Logger): void {
  end.catch((error: unknown) => {
    log.warn('an answer that was not sent could not be ended', { error: messageOf(error) });
  });
}
