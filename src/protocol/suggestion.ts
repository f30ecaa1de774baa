/** The known word nearest to `given`; undefined when none is near enough to be meant. */
export function suggest(given: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((word) => ({
      word,
      distance: word.startsWith(given) && given.length > 1 ? 0 : distance(given, word),
    }))
    .toSorted((a, b) => a.distance - b.distance);
  const [best] = ranked;
  return best && best.distance <= Math.max(1, Math.floor(given.length / 3)) ? best.word : undefined;
}

/**
 * The number of edits (insert, delete, replace, swap of neighbours) between `a` and `b`: optimal string
 * alignment.
 */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    const above = rows[i - 1] ?? [];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (rows[i - 2]?.[j - 2] ?? 0) + 1);
      row.push(best);
    }
    rows.push(row);
  }
  return rows[a.length]?.[b.length] ?? Infinity;
}
