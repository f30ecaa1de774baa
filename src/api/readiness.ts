/** The result of one check of the broker. */
export interface Finding {
  /** False where the broker cannot do all of its work. */
  readonly ok: boolean;
  /** The reason for people, where it is not ok. */
  readonly reason?: string;
  /** A problem that does not stop the broker yet, but needs attention. */
  readonly warning?: string;
  /** The used part of a limit in bytes, where there is one. */
  readonly bytes?: number;
  readonly max_bytes?: number;
  /** The free bytes, where the disk is the limit. */
  readonly free_bytes?: number;
}

/** The answer of `/readyz`; status 200 when ready, else 503. */
export interface Readiness {
  /** Whether every check is ok; warnings do not count. */
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, Finding>>;
  /** All problems that need attention although their checks are ok. */
  readonly warnings: readonly Warning[];
}

/** A problem that needs attention although its check is ok. */
export interface Warning {
  /** The name for programs: the check that found it. */
  readonly id: string;
  /** The text for people. */
  readonly message: string;
  /** The time when it was first seen, as ISO 8601. */
  readonly since: string;
}
