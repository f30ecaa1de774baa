/** What a lock protects, as something that is no entry can protect itself: it refuses a smaller revision than it has seen. */

/** One write: `LOCK REVISION HOLDER`, the holder by the number of its process. */
export interface Write {
  readonly lock: string;
  readonly revision: number;
  readonly holder: number;
}

export interface Resource {
  /** Takes a write, or refuses it. */
  write(write: Write): boolean;
  accepted(): number;
  /** Writes of a holder that came behind one of its successor: two took themselves for holders. */
  readonly late: readonly string[];
  /** What must not be, fence or no fence. */
  readonly broken: readonly string[];
}

export function createResource(): Resource {
  const latest = new Map<string, Write>();
  const late: string[] = [];
  const broken: string[] = [];
  let accepted = 0;
  return {
    late,
    broken,
    accepted: () => accepted,
    write(write) {
      const last = latest.get(write.lock);
      const told = `${write.lock}: holder ${write.holder} wrote with revision ${write.revision}`;
      if (last && write.revision < last.revision) {
        late.push(`${told}, behind ${last.holder} with ${last.revision}`);
        return false;
      }
      if (last?.revision === write.revision && last.holder !== write.holder)
        broken.push(`TWO HOLDERS: ${told}, and so did ${last.holder}`);
      latest.set(write.lock, write);
      accepted++;
      return true;
    },
  };
}

/** The write in a line of the pipe; nothing for one that is none. */
export function parseWrite(line: string): Write | undefined {
  const [, lock, revision, holder] = /^(\S+) (\d+) (\d+)$/.exec(line) ?? [];
  if (lock === undefined) return undefined;
  return { lock, revision: Number(revision), holder: Number(holder) };
}
