import type { Reply } from '../../modules/module.ts';
import type { ReplyInParts } from '../requests/response.ts';

/** How an answer in parts has ended: its reader read all, or left, or an error ended it. */
export type ReplyEnd = { readonly outcome: 'ok' | 'gone' } | { readonly error: unknown };

/** The same answer, which calls `ended` once when it has ended; its reader waits for that call. */
export function auditedReply(reply: ReplyInParts, ended: (end: ReplyEnd) => Promise<void>): Reply {
  const { body } = reply;
  let hasEnded = false;
  const end = async (how: ReplyEnd): Promise<void> => {
    if (hasEnded) return;
    hasEnded = true;
    await ended(how);
  };
  // This is not a generator: the `return()` of one waits for its next value, or does nothing before its
  // first.
  const parts = (): AsyncIterator<string | Uint8Array> => {
    const inner = body[Symbol.asyncIterator]();
    return {
      async next() {
        try {
          const step = await inner.next();
          if (step.done) await end({ outcome: 'ok' });
          return step;
        } catch (error) {
          await end({ error });
          throw error;
        }
      },
      async return() {
        const told = end({ outcome: 'gone' });
        await inner.return?.();
        await told;
        return { done: true, value: undefined };
      },
    };
  };
  return { ...reply, body: { [Symbol.asyncIterator]: parts } };
}
