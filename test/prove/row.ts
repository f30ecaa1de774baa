/** One row of the proof: what it does, in its long form and in a short one. */

import type { Random } from '../support/network/http-fuzz.ts';

export interface RowSetup {
  readonly short: boolean;
  /** Printed; the same one makes the same choices. */
  readonly seed: number;
  readonly random: Random;
  /** A folder of its own, on a disk, removed afterwards. */
  readonly scratch: string;
  readonly say: (line: string) => void;
}

export interface RowResult {
  /** In words, for the table. */
  readonly figures: string;
  /** What broke the rule; empty: the row holds. */
  readonly broken: readonly string[];
}

export interface Row {
  /** As it is called by. */
  readonly name: string;
  /** Which rows of the proof's table it shows. */
  readonly shows: string;
  /** What is done, for the table. */
  readonly what: string;
  /** Seconds after which it counts as failed. */
  readonly bound: { readonly short: number; readonly long: number };
  /** It waits more than it works, so that a whole run may run it beside the others. */
  readonly runsBeside?: boolean;
  /** Why it cannot run here; false when it can. */
  readonly skip: () => string | false;
  readonly run: (setup: RowSetup) => Promise<RowResult>;
}
