import type { Distribution } from './metric.ts';

/** Counts observations by size. An observation allocates nothing. */
export interface Histogram {
  observe(value: number): void;
  /** The present counts; later observations do not change them. */
  distribution(): Distribution;
}

/** @param bounds upper bounds of its buckets, in ascending order. */
export function createHistogram(bounds: readonly number[]): Histogram {
  const counts = new Float64Array(bounds.length + 1);
  let sum = 0;
  return {
    observe(value) {
      const at = bucketOf(bounds, value);
      counts[at] = (counts[at] ?? 0) + 1;
      sum += value;
    },
    distribution: () => ({ bounds, counts: counts.slice(), sum }),
  };
}

/** The index of the bucket of a value; the index after the last bound for a value above all. */
export function bucketOf(bounds: readonly number[], value: number): number {
  let at = 0;
  while (at < bounds.length && value > (bounds[at] ?? Infinity)) at++;
  return at;
}
