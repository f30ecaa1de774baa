import { element, updateChildren } from '../element.ts';
import { dataText, type EntryTree, type Row } from './entry-tree.ts';
import { age, lifetime } from '../format.ts';

/** The tree on the page. Only visible rows are elements, however many there are. */
export interface TreeView {
  /** Shows the present tree. */
  update(): void;
  setFilter(filter: string): void;
  /** Brings an entry into view and selects it. */
  select(path: string): void;
  readonly selected: string | undefined;
  /** Names of the visible entries. */
  visible(): readonly string[];
}

export interface TreeViewOptions {
  readonly tree: EntryTree;
  /** The element that scrolls and holds the rows. */
  readonly container: HTMLElement;
  readonly now: () => number;
  readonly onSelect: (path: string) => void;
}

/** The height of a row in pixels, as in the style sheet. */
const ROW = 34;
/** The number of rows beyond the edges that are made in advance. */
const MARGIN = 8;

export function createTreeView({ tree, container, now, onSelect }: TreeViewOptions): TreeView {
  const canvas = element('div', { class: 'rows', attributes: { role: 'none' } });
  container.replaceChildren(canvas);
  let rows: readonly Row[] = [];
  let filter = '';
  let selected: string | undefined;
  let focused: string | undefined;

  function update(): void {
    rows = tree.rows(filter);
    canvas.style.height = `${rows.length * ROW}px`;
    container.dataset['empty'] = filter === '' ? 'No entry exists yet.' : 'No entry matches the filter.';
    draw();
  }

  function draw(): void {
    const first = Math.max(0, Math.floor(container.scrollTop / ROW) - MARGIN);
    const last = Math.min(
      rows.length,
      Math.ceil((container.scrollTop + container.clientHeight) / ROW) + MARGIN,
    );
    const hadFocus = canvas.contains(document.activeElement);
    const tabStop = rows.some(({ path }) => path === focused) ? focused : rows[first]?.path;
    updateChildren(canvas, ...rows.slice(first, last).map((row, i) => rowElement(row, first + i, tabStop)));
    if (hadFocus && !canvas.contains(document.activeElement)) focusRow();
  }

  function rowElement(row: Row, index: number, tabStop: string | undefined): HTMLElement {
    const { entry } = row;
    const item = element('div', {
      class: 'row',
      attributes: {
        role: 'treeitem',
        'aria-level': String(row.level),
        'aria-posinset': String(row.position),
        'aria-setsize': String(row.siblings),
        'aria-selected': String(row.path === selected),
        ...(row.isFolder ? { 'aria-expanded': String(row.isOpen) } : {}),
        tabindex: row.path === tabStop ? '0' : '-1',
        'data-path': row.path,
      },
    });
    item.style.transform = `translateY(${index * ROW}px)`;
    const mark = element('span', { class: 'mark', text: row.isFolder ? (row.isOpen ? '▾' : '▸') : '' });
    mark.setAttribute('aria-hidden', 'true');
    const label = element('span', { class: 'label', text: row.isFolder ? `${row.label}/` : row.label });
    item.append(mark, label);
    item.style.paddingLeft = `${(row.level - 1) * 18 + 8}px`;
    if (row.isFolder) item.append(element('span', { class: 'size', text: String(row.size) }));
    if (entry === undefined) return item;
    item.append(element('span', { class: 'data', text: dataText(entry.data).slice(0, 200) }));
    const left = lifetime(entry, now());
    if (left !== undefined) item.append(element('span', { class: 'lifetime', text: left }));
    const since = age(entry.writtenAt, now());
    item.append(element('span', { class: 'age', text: since === '' ? '' : `${since} ago` }));
    return item;
  }

  function focusRow(): void {
    const item = [...canvas.children].find((child) => child.getAttribute('data-path') === focused);
    if (item instanceof HTMLElement) item.focus({ preventScroll: true });
  }

  function moveTo(index: number): void {
    const row = rows[Math.min(Math.max(index, 0), rows.length - 1)];
    if (row === undefined) return;
    focused = row.path;
    reveal(rows.indexOf(row));
    draw();
    focusRow();
  }

  function reveal(index: number): void {
    const top = index * ROW;
    if (top < container.scrollTop) container.scrollTop = top;
    const bottom = top + ROW - container.clientHeight;
    if (bottom > container.scrollTop) container.scrollTop = bottom;
  }

  function choose(row: Row): void {
    selected = row.path;
    focused = row.path;
    draw();
    onSelect(row.path);
  }

  function toggle(row: Row, isOpen: boolean): void {
    tree.open(row.path, isOpen);
    update();
  }

  /** Keys as in the tree pattern of the ARIA Authoring Practices. */
  function onKey(event: KeyboardEvent): void {
    const index = rows.findIndex(({ path }) => path === focused);
    const row = rows[index];
    if (row === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const parent = rows.findLastIndex(({ level }, i) => i < index && level < row.level);
    const page = Math.max(1, Math.floor(container.clientHeight / ROW) - 1);
    const actions: Record<string, () => void> = {
      ArrowDown: () => moveTo(index + 1),
      ArrowUp: () => moveTo(index - 1),
      Home: () => moveTo(0),
      End: () => moveTo(rows.length - 1),
      PageDown: () => moveTo(index + page),
      PageUp: () => moveTo(index - page),
      ArrowRight: () =>
        row.isFolder && !row.isOpen ? toggle(row, true) : moveTo(row.isFolder ? index + 1 : index),
      ArrowLeft: () => (row.isOpen ? toggle(row, false) : moveTo(parent < 0 ? index : parent)),
      Enter: () => choose(row),
      ' ': () => choose(row),
    };
    const action = actions[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  function rowOf(event: Event): Row | undefined {
    const item = event.target instanceof Element ? event.target.closest('.row') : null;
    const path = item?.getAttribute('data-path');
    return rows.find((row) => row.path === path);
  }

  container.addEventListener('scroll', draw);
  container.addEventListener('keydown', onKey);
  canvas.addEventListener('focusin', (event) => {
    focused = rowOf(event)?.path ?? focused;
  });
  canvas.addEventListener('click', (event) => {
    const row = rowOf(event);
    if (row === undefined) return;
    const onMark = event.target instanceof Element && event.target.classList.contains('mark');
    if (row.isFolder && (onMark || row.entry === undefined)) {
      focused = row.path;
      toggle(row, !row.isOpen);
      focusRow();
    } else choose(row);
  });
  new ResizeObserver(draw).observe(container);

  return {
    update,
    setFilter(text) {
      filter = text;
      container.scrollTop = 0;
      update();
    },
    select(path) {
      const parts = path.split('/');
      for (let depth = 1; depth < parts.length; depth++) tree.open(parts.slice(0, depth).join('/'), true);
      update();
      const index = rows.findIndex((row) => row.path === path);
      const row = rows[index];
      if (row === undefined) return;
      reveal(index);
      choose(row);
    },
    visible() {
      const first = Math.floor(container.scrollTop / ROW);
      const last = Math.ceil((container.scrollTop + container.clientHeight) / ROW);
      return rows.slice(first, last).flatMap(({ entry }) => (entry ? [entry.name] : []));
    },
    get selected(): string | undefined {
      return selected;
    },
  };
}
