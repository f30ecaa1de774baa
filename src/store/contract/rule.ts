import type { Store } from '../store.ts';

/** A store under test; each rule gets an empty one. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Closes the store and opens the same registry again. Not called for a driver that is not durable. */
  reopen(): Promise<Store>;
  /** Closes everything that is open. */
  dispose(): Promise<void>;
}

/** A test with its own store. */
export type RuleBody = (store: Store, under: StoreUnderTest) => Promise<void>;

/** Registers the rules as tests. */
export interface Rules {
  /** Groups rules under one name. */
  group(name: string, state: () => void): void;
  rule(name: string, body: RuleBody): void;
  /** A rule about state that outlives a store: only for durable drivers. */
  durableRule(name: string, body: RuleBody): void;
}
