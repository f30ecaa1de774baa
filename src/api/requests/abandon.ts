import type { Reply } from '../../modules/module.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';

/** Ends an answer unread. What its module fails with as it ends it is logged: nobody else would hear of it. */
export function abandon({ body }: Pick<Reply, 'body'>, log: Logger): void {
  if (typeof body !== 'object' || !(Symbol.asyncIterator in body)) return;
  const ended = async (): Promise<unknown> => body[Symbol.asyncIterator]().return?.();
  sayFailure(ended(), log);
}

/** Logs what an end of an answer fails with, that nobody waits for. */
export function sayFailure(end: Promise<unknown>, log: Logger): void {
  end.catch((error: unknown) => {
    log.warn('an answer that was not sent could not be ended', { error: messageOf(error) });
  });
}
