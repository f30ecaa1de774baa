/** One sample of Prometheus' text format. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Samples by the name of their metric. */
export type Samples = ReadonlyMap<string, readonly Sample[]>;

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/**
 * Reads the answer of `/metrics` (Prometheus, text exposition format 0.0.4). Lines that are not samples are
 * comments.
 */
export function readExposition(text: string): Samples {
  const samples = new Map<string, Sample[]>();
  for (const row of text.split('\n')) {
    const [, name, labels = '', value] = line.exec(row) ?? [];
    if (name === undefined || value === undefined) continue;
    const pairs = Array.from(labels.matchAll(label), ([, key = '', raw = '']) => [key, unescaped(raw)]);
    const sample = { labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) };
    const known = samples.get(name);
    if (known) known.push(sample);
    else samples.set(name, [sample]);
  }
  return samples;
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
}

/** The sum of a metric's samples whose labels fit; undefined where there is none. */
export function total(
  samples: Samples,
  name: string,
  fits: (labels: Readonly<Record<string, string>>) => boolean = () => true,
): number | undefined {
  const found = samples.get(name)?.filter(({ labels }) => fits(labels));
  return found && found.length > 0 ? found.reduce((sum, { value }) => sum + value, 0) : undefined;
}
