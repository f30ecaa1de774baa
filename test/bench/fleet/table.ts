/** How figures of the benchmarks are printed. */

export const count = (value: number): string => Math.round(value).toLocaleString('en');
export const ratio = (value: number): string => value.toFixed(2);
export const mebibytes = (bytes: number): string => `${count(bytes / 1024 ** 2)} MiB`;
export const kibibytes = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;

export function timeText(ms: number): string {
  if (ms === Infinity) return 'never';
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** Each column as wide as its widest cell; the first one is on the left. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  const pad = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return `${lines.map((cells) => cells.map(pad).join('  ').trimEnd()).join('\n')}\n`;
}
