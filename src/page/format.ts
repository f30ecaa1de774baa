const SECOND = 1;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const units: readonly (readonly [string, number])[] = [
  ['d', DAY],
  ['h', HOUR],
  ['min', MINUTE],
];

/** A duration in the largest unit in which it is at least two: `83 s`, `3 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [name, length] = units.find(([, unit]) => whole >= 2 * unit) ?? ['s', SECOND];
  return `${Math.floor(whole / length)} ${name}`;
}

/** The age of a Unix time in seconds; `0 s` where the broker's clock is ahead of the reader's. */
export function age(since: number, now: number): string {
  return since === 0 ? '' : duration(now - since);
}

export function bytes(count: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 0;
  for (; value >= 1024 && unit < names.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${names[unit] ?? ''}`;
}

/** A number with at most three significant digits, or thousands in groups. */
export function quantity(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) < 10) return value.toFixed(1).replace(/\.0$/, '');
  return Math.round(value).toLocaleString('en');
}

/** Seconds in a readable unit: `1.2 ms`. */
export function latency(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(1)} s`;
  const ms = seconds * 1000;
  return `${ms >= 10 ? Math.round(ms) : ms.toFixed(ms >= 1 ? 1 : 2)} ms`;
}

export function time(unix: number): string {
  return new Date(unix * 1000).toLocaleTimeString('en-GB');
}

export function dateAndTime(unix: number): string {
  return unix === 0 ? 'unknown' : new Date(unix * 1000).toLocaleString('en-GB');
}

/**
 * The rest of an entry's lifetime, or its whole length where the rest is unknown; undefined without a
 * lifetime.
 */
export function lifetime(
  entry: { readonly ttl?: number; readonly endsAt?: number },
  now: number,
): string | undefined {
  if (entry.endsAt !== undefined) return `${duration(entry.endsAt - now)} left`;
  return entry.ttl === undefined ? undefined : `lives ${duration(entry.ttl)}`;
}
