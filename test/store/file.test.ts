import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { FileStore } from '../../src/store/file/file-store.ts';
import { tempDir } from '../support/temp.ts';
import { storeContract } from './contract.ts';
import { openIn } from './support.ts';

const root = tempDir();
let count = 0;

storeContract('file driver', async () => {
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
});
