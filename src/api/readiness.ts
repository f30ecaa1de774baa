/** What one check of the broker found. */
export interface Finding {
  /** False: the broker cannot do all of its work. */
  readonly ok: boolean;
  /** Why not, for people. */
  readonly reason?: string;
  /** What is well now and will not stay so unless somebody looks at it. */
  readonly warning?: string;
  /** What is taken of a limit, where there is one. */
  readonly bytes?: number;
  readonly max_bytes?: number;
  /** What is left, where the disk is the limit. */
  readonly free_bytes?: number;
}

/** What `/readyz` answers; 200 when ready, else 503. */
export interface Readiness {
  /** Whether every check is ok; warnings do not count. */
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, Finding>>;
  /** What needs somebody's attention although it is ok, in one list. */
  readonly warnings: readonly Warning[];
}

export interface Warning {
  /** Names it for programs: the check that found it. */
  readonly id: string;
  /** For people. */
  readonly message: string;
  /** When it was first seen, as ISO 8601. */
  readonly since: string;
}
