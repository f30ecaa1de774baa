import type { Ending } from '../../protocol/ending.ts';

/** A signal that follows two others for a while. */
export interface AnySignal {
  readonly signal: AbortSignal;
  /** Aborts it without either of the others, and stops following. */
  abort(reason: unknown): void;
  /** Stops following, and removes its listeners from the others. */
  letGo(): void;
}

/**
 * A signal that is aborted with the first of two. `AbortSignal.any` would leak: on Node 20 it leaves a trace
 * of each result on a signal that outlives them all.
 */
export function anySignal(one: Ending, other: Ending): AnySignal {
  const first = new AbortController();
  const letGo = (): void => {
    one.removeEventListener('abort', endOne);
    other.removeEventListener('abort', endOther);
  };
  const abort = (reason: unknown): void => {
    letGo();
    first.abort(reason);
  };
  const endOne = (): void => abort(one.reason);
  const endOther = (): void => abort(other.reason);
  if (one.aborted) endOne();
  else if (other.aborted) endOther();
  else {
    one.addEventListener('abort', endOne);
    other.addEventListener('abort', endOther);
  }
  return { signal: first.signal, abort, letGo };
}
