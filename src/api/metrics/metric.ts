/**
 * What is measured, as it is at one moment, in the terms of Prometheus. Names and units keep its conventions: base units
 * (seconds, bytes), `_total` at the end of a counter. No label holds the name of an entry, of an extension, or a key.
 */
export interface Metric {
  readonly name: string;
  /** One sentence, for people. */
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** One for each set of labels; none: the metric is left out. */
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly labels?: Labels;
  /** A number, or what a histogram has counted. */
  readonly value: number | Distribution;
}

export type Labels = Readonly<Record<string, string>>;

/** What a histogram has counted. */
export interface Distribution {
  /** Upper bounds of the buckets, in ascending order. */
  readonly bounds: readonly number[];
  /** How many were at most as large as each bound and larger than the one before; the last are those above all bounds. */
  readonly counts: ArrayLike<number>;
  /** Of all that was observed. */
  readonly sum: number;
}

/** A metric of one number. */
export function one(type: 'counter' | 'gauge', name: string, help: string, value: number): Metric {
  return { type, name, help, samples: [{ value }] };
}

/** A metric of a number for each value of one label. */
export function each(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  label: string,
  values: Readonly<Record<string, number>>,
): Metric {
  const samples = Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value }));
  return { type, name, help, samples };
}
