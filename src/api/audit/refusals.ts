import { networkOf } from '../../protocol/addresses/address.ts';
import type { AuditRecord } from './record.ts';

/**
 * Records refused calls at a bounded cost, since a caller without a key can be refused any number of times.
 * Within a window, {@link RefusalLimits.perSource} of one source have a line each, and {@link
 * RefusalLimits.overall} of all together. The rest is counted, with a line for each source at the end of the
 * window.
 */
export interface Refusals {
  /** Writes the record, or counts it. Resolves once it is written, at once where it is counted. */
  record(record: AuditRecord): Promise<void>;
  /** Writes the counts now. */
  flush(): Promise<void>;
}

export interface RefusalLimits {
  readonly windowMs: number;
  /** The most lines of one source within a window. */
  readonly perSource: number;
  /** The most lines of all sources within a window. */
  readonly overall: number;
  /** The most sources with a count of their own; the others share one, whose `source` is `others`. */
  readonly maxSources: number;
}

/** At most 200 lines a second, each of less than 10 KB, and mostly of 250 bytes. */
export const refusalLimits: RefusalLimits = {
  windowMs: 10_000,
  perSource: 50,
  overall: 1000,
  maxSources: 1000,
};

interface Source {
  lines: number;
  count: number;
  readonly outcomes: Record<string, number>;
}

const OTHERS = 'others';

export function createRefusals(
  write: (record: AuditRecord) => Promise<unknown>,
  limits: RefusalLimits = refusalLimits,
): Refusals {
  let sources = new Map<string, Source>();
  let lines = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function sourceOf(address: string): Source {
    const network = networkOf(address);
    const own = sources.has(network) || sources.size < limits.maxSources ? network : OTHERS;
    const present = sources.get(own) ?? { lines: 0, count: 0, outcomes: {} };
    sources.set(own, present);
    return present;
  }

  function begin(): void {
    timer = setTimeout(() => void flush(), limits.windowMs);
    // It is a number on platforms that are not servers.
    if (typeof timer === 'object') timer.unref();
  }

  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const ended = sources;
    sources = new Map();
    lines = 0;
    const time = new Date().toISOString();
    const counts = [...ended].filter(([, { count }]) => count > 0);
    await Promise.all(
      counts.map(([source, { count, outcomes }]) =>
        write({ time, event: 'refusals', ...(source === '' ? {} : { source }), count, outcomes }),
      ),
    );
  }

  return {
    async record(record) {
      if (timer === undefined) begin();
      const source = sourceOf(record.source ?? '');
      if (source.lines < limits.perSource && lines < limits.overall) {
        source.lines++;
        lines++;
        await write(record);
        return;
      }
      const { outcome = '' } = record;
      source.count++;
      source.outcomes[outcome] = (source.outcomes[outcome] ?? 0) + 1;
    },
    flush,
  };
}
