import { describe, it } from 'node:test';
import { readRules } from './contract-read.ts';
import type { Rule, StoreUnderTest } from './contract-rule.ts';
import { writeRules } from './contract-write.ts';

export type { StoreUnderTest } from './contract-rule.ts';

export interface ContractOptions {
  /** Why the suite cannot run here. */
  readonly skip?: string;
  /** The shortest lifetime that the driver keeps to well. */
  readonly shortTtlMs?: number;
}

/** The rules that every driver keeps (`src/store/store.ts`). */
export function storeContract(
  driver: string,
  open: () => Promise<StoreUnderTest>,
  { skip, shortTtlMs = 150 }: ContractOptions = {},
): void {
  const rule: Rule = (name, body) => {
    it(name, { skip: skip ?? false }, async () => {
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

  describe(`${driver} keeps the store contract`, () => {
    writeRules(rule);
    readRules(rule, shortTtlMs);
  });
}
