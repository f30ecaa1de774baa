import type { Store } from '../store.ts';

/** A store under test; each rule gets an empty one of its own. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Closes the store and opens the same registry anew. Not asked of a driver that is not durable. */
  reopen(): Promise<Store>;
  /** Closes whatever is open. */
  dispose(): Promise<void>;
}

/** A test with a store of its own. */
export type RuleBody = (store: Store, under: StoreUnderTest) => Promise<void>;

/** Where the rules are stated. */
export interface Rules {
  /** Rules that belong together, under one name. */
  group(name: string, state: () => void): void;
  rule(name: string, body: RuleBody): void;
  /** A rule about what outlives a store: for durable drivers alone. */
  durableRule(name: string, body: RuleBody): void;
}
