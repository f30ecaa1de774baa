import { silentNotices } from '../terminal/notices.ts';
import type { Arguments } from '../command.ts';
import { findBrokers } from './locate.ts';

/** Finds out, beside a search for the holder of an entry, whether the entry was made during the search. */
export interface FirstLook {
  /** Reports an answer of a holder. */
  holderAnswered(): void;
  /** Ends it. Returns whether a broker answered without the entry, well before a holder did. */
  end(): boolean;
}

/** Answers to the first queries come within this time of each other, in milliseconds, also if some are lost. */
const TOGETHER_MS = 400;

/** Asks for any broker until one answers. */
export function takeFirstLook(args: Arguments, key: string | undefined): FirstLook {
  const ending = new AbortController();
  let anyAt = Infinity;
  let holderAt = 0;
  const search = findBrokers(args, silentNotices, {
    key,
    wait: false,
    timeoutMs: Infinity,
    all: true,
    isRepeated: true,
    signal: ending.signal,
    onReply() {
      anyAt = Math.min(anyAt, performance.now());
      ending.abort();
    },
  });
  // It ends by its signal alone. The search for the holder reports what prevents both.
  search.catch(() => undefined);
  return {
    holderAnswered() {
      holderAt ||= performance.now();
    },
    end() {
      ending.abort();
      return holderAt - anyAt > TOGETHER_MS;
    },
  };
}
