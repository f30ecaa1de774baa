import type { PageEntry } from '../api/broker-api.ts';

/** A line of the tree: a folder, an entry, or an entry with others below its name. */
export interface Row {
  /** The whole name, or the prefix without its last slash. */
  readonly path: string;
  /** The part of the name that this line adds. */
  readonly label: string;
  /** 1 for the outermost. */
  readonly level: number;
  /** Whether other rows belong under it. */
  readonly isFolder: boolean;
  readonly isOpen: boolean;
  /** The number of entries below it. */
  readonly size: number;
  /** Its position in its folder, from 1, and the number of rows there. */
  readonly position: number;
  readonly siblings: number;
  readonly entry?: PageEntry;
}

/** The entries of the registry as a tree by `/`. */
export interface EntryTree {
  readonly size: number;
  get(name: string): PageEntry | undefined;
  /** Stores an entry, unless a later state of it is known already. */
  put(entry: PageEntry): void;
  remove(name: string): void;
  names(): readonly string[];
  /** The visible rows of entries whose name or data contain `filter`; case does not matter. */
  rows(filter: string): readonly Row[];
  open(path: string, isOpen: boolean): void;
}

/** Folders are open at first while there are at most this many entries in all. */
const OPEN_AT_FIRST = 200;

interface Node {
  readonly path: string;
  readonly label: string;
  readonly children: Map<string, Node>;
  size: number;
  entry?: PageEntry;
}

export function createEntryTree(): EntryTree {
  const entries = new Map<string, PageEntry>();
  const opened = new Map<string, boolean>();
  let names: string[] | undefined;

  /** Sorted again only after a change of the names. */
  function sorted(): readonly string[] {
    names ??= [...entries.keys()].toSorted();
    return names;
  }

  function build(filter: string): Node {
    const root: Node = { path: '', label: '', children: new Map(), size: 0 };
    const wanted = filter.toLowerCase();
    for (const name of sorted()) {
      const entry = entries.get(name);
      if (entry === undefined || !matches(entry, wanted)) continue;
      let node = root;
      let at = 0;
      node.size++;
      for (const label of name.split('/')) {
        at += label.length;
        let child = node.children.get(label);
        if (child === undefined) {
          child = { path: name.slice(0, at), label, children: new Map(), size: 0 };
          node.children.set(label, child);
        }
        at++;
        node = child;
        node.size++;
      }
      node.entry = entry;
    }
    return root;
  }

  function rows(filter: string): readonly Row[] {
    const root = build(filter);
    const atFirst = filter !== '' || root.size <= OPEN_AT_FIRST;
    const found: Row[] = [];
    const visit = (node: Node, level: number): void => {
      let position = 0;
      for (const child of node.children.values()) {
        const isFolder = child.children.size > 0;
        const isOpen = isFolder && (opened.get(child.path) ?? atFirst);
        const place = { position: ++position, siblings: node.children.size };
        const { path, label, size, entry } = child;
        const row = { path, label, level, isFolder, isOpen, size: size - (entry ? 1 : 0), ...place };
        found.push(entry ? { ...row, entry } : row);
        if (isOpen) visit(child, level + 1);
      }
    };
    visit(root, 1);
    return found;
  }

  return {
    get size(): number {
      return entries.size;
    },
    get: (name) => entries.get(name),
    put(entry) {
      const known = entries.get(entry.name);
      if (known !== undefined && known.revision > entry.revision) return;
      if (known === undefined) names = undefined;
      entries.set(entry.name, entry);
    },
    remove(name) {
      if (entries.delete(name)) names = undefined;
    },
    names: sorted,
    rows,
    open(path, isOpen) {
      opened.set(path, isOpen);
    },
  };
}

function matches(entry: PageEntry, wanted: string): boolean {
  if (wanted === '' || entry.name.toLowerCase().includes(wanted)) return true;
  return dataText(entry.data).toLowerCase().includes(wanted);
}

/** An entry's data on one line. */
export function dataText(data: unknown): string {
  return typeof data === 'string' ? data : JSON.stringify(data);
}
