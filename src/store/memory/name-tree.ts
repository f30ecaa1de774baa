import * as bulk from 'sorted-btree/extended/bulkLoad.js';
import * as sortedBtree from 'sorted-btree';
import { compareNames } from '../../protocol/registry/names.ts';

/** Names in the order of their bytes, each with the size of its entry ({@link sizeOf}). */
export type NameTree = sortedBtree.default<string, number>;

type TreeClass = new (entries: undefined, compare: typeof compareNames) => NameTree;

const NODE_ENTRIES = 32;

// A CommonJS module: under Node and Deno its exports are the default export's `default`, under Bun they are
// not.
const exported = sortedBtree.default as unknown;
const BTree = (
  typeof exported === 'function' ? exported : (exported as { default: unknown }).default
) as TreeClass;

export function createNameTree(): NameTree {
  return new BTree(undefined, compareNames);
}

/** The tree of many names, passed in any order. */
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
