/**
 * A measured value at one moment, in the terms of Prometheus. Names and units follow its conventions: base
 * units (seconds, bytes), `_total` at the end of a counter. No label holds the name of an entry, of an
 * extension, or a key.
 */
export interface Metric {
  readonly name: string;
  /** One sentence, for people. */
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** One for each set of labels; without any, the metric is left out. */
  readonly samples: readonly Sample[];
}

/** One value of a metric. */
export interface Sample {
  readonly labels?: Labels;
  /** A number, or the counts of a histogram. */
  readonly value: number | Distribution;
}

export type Labels = Readonly<Record<string, string>>;

/** The counts of a histogram. */
export interface Distribution {
  /** Upper bounds of the buckets, in ascending order. */
  readonly bounds: readonly number[];
  /**
   * The number of values up to each bound and above the one before; the last is for values above all bounds.
   */
  readonly counts: ArrayLike<number>;
  /** The sum of all values. */
  readonly sum: number;
}

/** A metric of one number. */
export function singleMetric(type: 'counter' | 'gauge', name: string, help: string, value: number): Metric {
  return { type, name, help, samples: [{ value }] };
}

/** A metric with a number for each value of one label. */
export function labelledMetric(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  label: string,
  values: Readonly<Record<string, number>>,
): Metric {
  const samples = Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value }));
  return { type, name, help, samples };
}
