import { BrokerError } from '../../protocol/errors.ts';
import type { Limits } from '../limits.ts';
import { treeMemory } from './memory.ts';

/** The pause between two checks of a working process's memory, in milliseconds. */
const MEMORY_CHECK_MS = 100;

/** Watches one call, and ends it with an error when it exceeds a limit. */
export interface Guard {
  /** Counts the bytes that the call has printed. */
  printed(bytes: number): void;
  stop(): void;
}

/** @param exceeded is called once, with the first limit that the call exceeds. */
export function guardCall(
  name: string,
  pid: number | undefined,
  limits: Limits,
  exceeded: (error: BrokerError) => void,
): Guard {
  let printed = 0;
  let over = false;
  const stop = (): void => {
    over = true;
    clearTimeout(late);
    clearInterval(memory);
  };
  const end = (error: BrokerError): void => {
    if (over) return;
    stop();
    exceeded(error);
  };
  const late = setTimeout(() => {
    const message = `Extension '${name}' was stopped: it took longer than its _timeout_secs, ${limits.timeoutMs / 1000} s`;
    end(new BrokerError('extension_timeout', message));
  }, limits.timeoutMs);
  const memory = setInterval(() => void checkMemory(), MEMORY_CHECK_MS);
  let looking = false;
  const checkMemory = async (): Promise<void> => {
    if (looking || pid === undefined) return;
    looking = true;
    // A failed check is repeated at the next time.
    const bytes = await treeMemory(pid).catch(() => undefined);
    looking = false;
    if (bytes === undefined || bytes <= limits.memoryBytes) return;
    end(tooMuch(name, 'used more memory', '_memory_mb', limits.memoryBytes));
  };
  return {
    printed(bytes) {
      printed += bytes;
      if (printed > limits.outputBytes) end(tooMuch(name, 'printed more', '_output_mb', limits.outputBytes));
    },
    stop,
  };
}

function tooMuch(name: string, did: string, option: string, bytes: number): BrokerError {
  const mib = bytes / (1024 * 1024);
  return new BrokerError(
    'extension_failed',
    `Extension '${name}' was stopped: it ${did} than its ${option}, ${mib} MiB`,
  );
}
