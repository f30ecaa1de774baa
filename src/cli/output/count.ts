/** A number of entries, for people: `1 entry`, `2 entries`. */
export function entryCount(entries: number): string {
  return entries === 1 ? '1 entry' : `${entries} entries`;
}
