/** Something that ends once, for a reason: an `AbortSignal`, or the signal of {@link createEnding}. */
export interface Ending {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/**
 * An end that any number of calls may follow. Some runtimes take more than ten listeners of one `AbortSignal`
 * for a leak of memory, and print a warning.
 */
export function createEnding(): { readonly signal: Ending; end(reason: unknown): void } {
  const listeners = new Set<() => void>();
  let isOver = false;
  let why: unknown;
  return {
    signal: {
      get aborted() {
        return isOver;
      },
      get reason() {
        return why;
      },
      throwIfAborted() {
        if (isOver) throw why;
      },
      addEventListener: (_type, listener) => void listeners.add(listener),
      removeEventListener: (_type, listener) => void listeners.delete(listener),
    },
    end(reason) {
      if (isOver) return;
      isOver = true;
      why = reason;
      const all = [...listeners];
      listeners.clear();
      for (const listener of all) listener();
    },
  };
}
