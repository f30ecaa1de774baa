import { BrokerError } from '../errors.ts';

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** The longest duration: 10 years. That is far beyond any use, and timers and JSON hold it exactly. */
export const MAX_DURATION_MS: number = 10 * 365 * units.d;

/** The shortest lifetime of an entry, in milliseconds. */
export const MIN_TTL_MS = 100;

/** The longest time that a timer of any runtime can wait, in milliseconds: about 24.8 days. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/**
 * The milliseconds of a duration such as `500ms`, `3s`, `1.5m`, `2h` or `1d`; a bare number counts seconds.
 * @throws BrokerError `usage` (or the given code), naming `what`, for any other text.
 */
export function parseDuration(
  text: string | number,
  what: string,
  code: 'usage' | 'invalid_request' = 'usage',
): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(String(text));
  const ms = match
    ? Math.round(Number(match[1]) * units[(match[2] ?? 's') as keyof typeof units])
    : Number.NaN;
  if (Number.isNaN(ms) || ms > MAX_DURATION_MS) {
    const limit = Number.isNaN(ms) ? '' : `, and at most ${MAX_DURATION_MS / units.d}d`;
    throw new BrokerError(
      code,
      `Invalid ${what} '${text}': expected a duration such as 500ms, 3s, 1m, 2h or 1d${limit}`,
    );
  }
  return ms;
}

/** A duration for people: `850 ms`, `12 s`, `3 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 100) / 10} s`;
  return `${Math.round(ms / 60_000)} min`;
}
