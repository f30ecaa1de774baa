import type { Store } from '../../src/store/store.ts';

/** A store under test; each test gets an empty one of its own. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Closes the store and opens the same registry anew. */
  reopen(): Promise<Store>;
  /** Closes whatever is open. */
  dispose(): Promise<void>;
}

/** States one rule: a test with a store of its own. */
export type Rule = (name: string, body: (store: Store, under: StoreUnderTest) => Promise<void>) => void;
