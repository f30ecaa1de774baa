/** Why a registry accepts no writes. */
export interface WriteProblem {
  readonly final: boolean;
  readonly reason: string;
  /** Whether every acknowledged write is on the disk. */
  readonly saved: boolean;
}
