import type { Finding, Warning } from '../../api/readiness.ts';

/**
 * The list of problems that do not stop the broker yet but need attention: each check's warning, with the
 * time since when it exists. `/readyz` and `/metrics` show it.
 */
export interface Warnings {
  /** The warnings in the present findings. A warning that was absent once starts again. */
  of(checks: Readonly<Record<string, Finding>>): readonly Warning[];
}

/** @param now the system's clock in milliseconds; default `Date.now`. */
export function createWarnings(now: () => number = Date.now): Warnings {
  const since = new Map<string, string>();
  return {
    of(checks) {
      const warnings: Warning[] = [];
      for (const [id, { ok, warning: message }] of Object.entries(checks)) {
        if (!ok || message === undefined) {
          since.delete(id);
          continue;
        }
        const first = since.get(id) ?? new Date(now()).toISOString();
        since.set(id, first);
        warnings.push({ id, message, since: first });
      }
      return warnings;
    },
  };
}
