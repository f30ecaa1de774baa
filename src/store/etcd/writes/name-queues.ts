/** The knowledge that a work passes on to the next one in the queue. */
export interface QueuedResult<T, K> {
  readonly value: T;
  readonly known: K | undefined;
}

/** Runs works of one name one after another, those of different names at once. */
export interface NameQueues<K> {
  /** `work` gets the knowledge of the work right before it, unless that has failed. */
  run<T>(name: string, work: (known: K | undefined) => Promise<QueuedResult<T, K>>): Promise<T>;
  /** Whether a work of that name is running. */
  isBusy(name: string): boolean;
  /** Resolves once the present works of that name have ended. */
  settled(name: string): Promise<unknown>;
}

export function createNameQueues<K>(): NameQueues<K> {
  const last = new Map<string, Promise<K | undefined>>();

  async function run<T>(
    name: string,
    work: (known: K | undefined) => Promise<QueuedResult<T, K>>,
  ): Promise<T> {
    const before = last.get(name);
    const running = before === undefined ? work(undefined) : before.then(work);
    const over = running.then(
      ({ known }) => known,
      () => undefined,
    );
    last.set(name, over);
    try {
      return (await running).value;
    } finally {
      if (last.get(name) === over) last.delete(name);
    }
  }

  return { run, isBusy: (name) => last.has(name), settled: (name) => Promise.resolve(last.get(name)) };
}
