import type { Distribution, Labels, Metric } from './metric.ts';

/** Content type of {@link expositionOf}. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** The text format of Prometheus, version 0.0.4. */
export function expositionOf(metrics: readonly Metric[]): string {
  let text = '';
  for (const { name, help, type, samples } of metrics) {
    if (samples.length === 0) continue;
    text += `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
    for (const { labels = {}, value } of samples) {
      const pairs = pairsOf(labels);
      text += typeof value === 'number' ? line(name, pairs, value) : distribution(name, pairs, value);
    }
  }
  return text;
}

function distribution(name: string, pairs: string, { bounds, counts, sum }: Distribution): string {
  const separator = pairs === '' ? '' : ',';
  let text = '';
  let total = 0;
  for (let i = 0; i <= bounds.length; i++) {
    total += counts[i] ?? 0;
    const bound = i < bounds.length ? String(bounds[i]) : '+Inf';
    text += line(`${name}_bucket`, `${pairs}${separator}le="${bound}"`, total);
  }
  return text + line(`${name}_sum`, pairs, sum) + line(`${name}_count`, pairs, total);
}

function line(name: string, pairs: string, value: number): string {
  return `${name}${pairs === '' ? '' : `{${pairs}}`} ${numberText(value)}\n`;
}

function pairsOf(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeValue(value)}"`)
    .join(',');
}

function numberText(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeValue(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
