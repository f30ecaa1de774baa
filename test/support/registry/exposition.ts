/** A sample of the text format of Prometheus. */
export interface ScrapedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const label = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/**
 * Reads the text format, as far as we write it.
 * @throws Error for a line that is none of it.
 */
export function readExposition(text: string): ScrapedSample[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', , labels = '', value] = /^([a-z_]+)(\{(.*)\})? (\S+)$/.exec(line) ?? [];
      if (value === undefined) throw new Error(`no sample: ${line}`);
      const pairs = [...labels.matchAll(label)].map(([, key = '', quoted = '']) => [key, quoted]);
      return {
        name,
        labels: Object.fromEntries(pairs) as Record<string, string>,
        value: Number(value.replace('Inf', 'Infinity')),
      };
    });
}

/** The value of the one sample that has these labels; nothing where there is none. */
export function valueOf(
  samples: readonly ScrapedSample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const found = samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  if (found.length > 1) throw new Error(`${found.length} samples of ${name} fit`);
  return found[0]?.value;
}
