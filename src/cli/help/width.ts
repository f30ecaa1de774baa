const NARROWEST = 40;
/** Longer lines are hard to read. */
const WIDEST = 100;
const UNKNOWN = 80;

/**
 * The columns that help may use: the variable COLUMNS, else the width of the terminal, else 80. At least 40,
 * at most 100.
 */
export function helpWidth(columns: string | undefined, terminal: number | undefined): number {
  const said = /^\d{1,6}$/.test(columns ?? '') ? Number(columns) : 0;
  return Math.min(WIDEST, Math.max(NARROWEST, said || terminal || UNKNOWN));
}
