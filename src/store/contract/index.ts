/**
 * The rules of every driver of the registry, as tests for a driver of your own: `bpbroker/store/contract`.
 */
import { lifetimeRules } from './lifetime-rules.ts';
import { readRules } from './read-rules.ts';
import type { Rules, StoreUnderTest } from './rule.ts';
import { writeRules } from './write-rules.ts';
import { guardRules } from './guard-rules.ts';

export type { StoreUnderTest } from './rule.ts';

export interface ContractOptions {
  /** The driver's name in the report. */
  readonly driver: string;
  /** Opens an empty store; called for each rule. */
  readonly open: () => Promise<StoreUnderTest>;
  /** `describe` of a test runner, such as `node:test`. */
  readonly describe: (name: string, state: () => void) => unknown;
  /** `it` of the same runner. */
  readonly it: (name: string, test: () => Promise<void>) => unknown;
  /**
   * Whether entries outlive the store; default true. Without it the rules about opening it again are left
   * out.
   */
  readonly durable?: boolean;
  /** The shortest lifetime that the driver keeps precisely, in milliseconds; default 150. */
  readonly shortTtlMs?: number;
}

/**
 * States the rules of `Store` as tests.
 * @example
 * ```ts
 * import { describe, it } from 'node:test';
 * import { memoryStore } from 'bpbroker/store';
 * import { storeContract } from 'bpbroker/store/contract';
 * storeContract({
 *   driver: 'memory',
 *   describe,
 *   it,
 *   durable: false,
 *   async open() {
 *     const store = memoryStore();
 *     return { store, reopen: async () => store, dispose: () => store.close() };
 *   },
 * });
 * ```
 */
export function storeContract(options: ContractOptions): void {
  const { driver, open, describe, it, durable = true, shortTtlMs = 150 } = options;
  const rule: Rules['rule'] = (name, body) => {
    it(name, async () => {
      const under = await open();
      // A store's timers do not keep a process alive, and Deno ends a test that nothing keeps alive.
      const alive = setInterval(() => undefined, 1000);
      try {
        await body(under.store, under);
      } finally {
        await under.dispose();
        clearInterval(alive);
      }
    });
  };
  const rules: Rules = {
    group: (name, state) => void describe(name, state),
    rule,
    durableRule: (name, body) => {
      if (durable) rule(name, body);
    },
  };
  describe(`${driver} keeps the store contract`, () => {
    writeRules(rules);
    guardRules(rules);
    readRules(rules);
    lifetimeRules(rules, shortTtlMs);
  });
}
