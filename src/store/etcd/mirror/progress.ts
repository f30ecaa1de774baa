import { resolveWithin } from '../../../protocol/timeout.ts';
import { deferred } from '../promises.ts';

/** A position that grows, and waits for it to reach another one. */
export interface Progress {
  readonly position: number;
  advance(position: number): void;
  /** Whether it reaches `position` within `ms` milliseconds. */
  reach(position: number, ms: number): Promise<boolean>;
}

export function createProgress(): Progress {
  let position = 0;
  const waiting = new Set<{ readonly position: number; readonly release: () => void }>();
  /** The lowest position that a caller waits for. */
  let least = Infinity;

  return {
    get position(): number {
      return position;
    },
    advance(next) {
      if (next <= position) return;
      position = next;
      if (position < least) return;
      least = Infinity;
      for (const one of waiting) {
        if (one.position > position) {
          least = Math.min(least, one.position);
          continue;
        }
        waiting.delete(one);
        one.release();
      }
    },
    async reach(wanted, ms) {
      if (wanted <= position) return true;
      const reached = deferred<true>();
      const one = { position: wanted, release: () => reached.resolve(true) };
      waiting.add(one);
      least = Math.min(least, wanted);
      try {
        return (await resolveWithin(ms, reached.promise)) ?? false;
      } finally {
        waiting.delete(one);
      }
    },
  };
}
