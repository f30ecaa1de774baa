import * as bulk from 'sorted-btree/extended/bulkLoad.js';
import * as sortedBtree from 'sorted-btree';
import { compareNames } from '../../protocol/registry/names.ts';

/** Names in the order of their bytes, each with what its entry counts ({@link sizeOf}). */
export type NameTree = sortedBtree.default<string, number>;

type TreeClass = new (entries: undefined, compare: typeof compareNames) => NameTree;

const NODE_ENTRIES = 32;

// CommonJS modules: what they export is under the default export's `default` under Node and Deno, not under Bun.
const exported = sortedBtree.default as unknown;
const BTree = (
  typeof exported === 'function' ? exported : (exported as { default: unknown }).default
) as TreeClass;

export function createNameTree(): NameTree {
  return new BTree(undefined, compareNames);
}

/** The tree of many names at once, given in any order. */
export function loadNameTree(names: readonly string[], sizes: readonly number[]): NameTree {
  const order = isSorted(names) ? undefined : names.map((_, i) => i);
  order?.sort((a, b) => compareNames(names[a] ?? '', names[b] ?? ''));
  const keys = order ? order.map((i) => names[i] ?? '') : [...names];
  const values = order ? order.map((i) => sizes[i] ?? 0) : [...sizes];
  return bulk.bulkLoad(keys, values, NODE_ENTRIES, compareNames);
}

function isSorted(names: readonly string[]): boolean {
  for (let i = 1; i < names.length; i++)
    if (compareNames(names[i - 1] ?? '', names[i] ?? '') >= 0) return false;
  return true;
}
