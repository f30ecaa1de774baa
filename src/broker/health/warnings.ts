import type { Finding, Warning } from '../../api/readiness.ts';

/**
 * The one list of what is well now and will not stay so unless somebody looks at it: each check's warning, with the time since
 * when there is one. `/readyz` and `/metrics` tell it.
 */
export interface Warnings {
  /** The warnings among what was found now. One that is gone for once begins anew. */
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
