import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { FileStore } from '../../../src/store/file/file-store.ts';
import { tempDir } from '../../support/temp.ts';
import { storeContract, type StoreUnderTest } from '../../../src/store/contract/index.ts';
import { openIn } from '../support.ts';

const root = tempDir();
let count = 0;

async function open(): Promise<StoreUnderTest> {
  const dir = path.join(root, String(count++));
  mkdirSync(dir);
  let store: FileStore = await openIn(dir);
  return {
    store,
    async reopen() {
      await store.close();
      store = await openIn(dir);
      return store;
    },
    dispose: () => store.close(),
  };
}

// Twice that must outlast a pause of half a second, which the store does not take for a stopped process.
storeContract({ driver: 'file driver', open, describe, it, shortTtlMs: 500 });
