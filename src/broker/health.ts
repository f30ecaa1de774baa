import type { Store } from '../store/store.ts';

/** What `/readyz` answers; 200 when ready, else 503. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: {
    readonly store: { readonly ok: boolean; readonly reason?: string };
  };
}

/** Whether the broker can do all of its work now. */
export function readinessOf(store: Store): Readiness {
  const { writable, reason } = store.health();
  return {
    ready: writable,
    checks: { store: { ok: writable, ...(reason === undefined ? {} : { reason }) } },
  };
}
