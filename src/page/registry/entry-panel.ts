import type { BrokerApi, PageEntry } from '../api/broker-api.ts';
import { element, replaceContent, updateChildren } from '../element.ts';
import { dateAndTime, lifetime } from '../format.ts';

/** The form of one entry: its content and its actions. */
export interface EntryPanel {
  /** Shows an entry; a form that is being filled in is kept. */
  show(name: string): void;
  /** Shows the form for a new entry. */
  create(): void;
  /** The registry has changed. */
  update(): void;
}

export interface EntryPanelOptions {
  readonly api: BrokerApi;
  readonly place: HTMLElement;
  readonly find: (name: string) => PageEntry | undefined;
  readonly now: () => number;
  /** Says what was done, with a way to undo it where there is one. */
  readonly announce: (message: string, undo?: () => Promise<void>) => void;
}

/** The purpose of a form. */
interface Form {
  readonly title: string;
  readonly name?: PageEntry;
}

export function createEntryPanel({ api, place, find, now, announce }: EntryPanelOptions): EntryPanel {
  let shown: string | undefined;
  /** The entry as the page shows it: its actions are about this revision and no later one. */
  let drawn: PageEntry | undefined;
  let editing = false;
  // So that it can have the focus that was in what it no longer shows.
  place.tabIndex = -1;

  function show(name: string): void {
    shown = name;
    drawn = undefined;
    editing = false;
    draw();
  }

  function draw(): void {
    if (shown === undefined || editing) return;
    const entry = find(shown);
    if (entry === undefined) {
      gone(shown);
      return;
    }
    const facts = element(
      'dl',
      { class: 'facts' },
      ...fact('Revision', String(entry.revision)),
      ...fact('Last written', dateAndTime(entry.writtenAt)),
      ...fact('By', entry.writtenBy === '' ? 'unknown' : entry.writtenBy),
      ...fact('Lifetime', lifetime(entry, now()) ?? 'until it is deleted'),
    );
    const data = element('pre', { text: editText(entry.data), attributes: { tabindex: '0' } });
    data.setAttribute('aria-label', `Data of ${entry.name}`);
    const first = button('Edit', () => act(edit));
    const actions = buttons(
      first,
      button('Delete', () => act((present) => void attempt(() => remove(present)))),
      button('Close', close),
    );
    const content = [heading(entry.name), facts, data, actions];
    if (drawn) updateChildren(place, ...content);
    else replaceContent(place, first, ...content);
    drawn = entry;
  }

  function gone(name: string): void {
    drawn = undefined;
    const text = element('p', { class: 'quiet gone', text: `No entry '${name}' exists any more.` });
    const last = button('Close', close);
    const content = [heading(name), text, buttons(last)];
    if (place.querySelector('.gone')) updateChildren(place, ...content);
    else replaceContent(place, last, ...content);
  }

  function act(action: (entry: PageEntry) => void): void {
    if (drawn) action(drawn);
  }

  function close(): void {
    shown = undefined;
    editing = false;
    replaceContent(place, place, element('p', { class: 'quiet', text: 'Choose an entry to see it whole.' }));
  }

  function edit(entry: PageEntry): void {
    form({ title: `Edit ${entry.name}`, name: entry });
  }

  function form({ title, name: entry }: Form): void {
    editing = true;
    const name = element('input', { attributes: { id: 'form-name', required: '', maxlength: '512' } });
    const data = element('textarea', { attributes: { id: 'form-data', rows: '8', spellcheck: 'false' } });
    const ttl = element('input', { attributes: { id: 'form-ttl', placeholder: 'such as 30s or 10m' } });
    const problem = element('p', { class: 'problem', attributes: { role: 'alert' } });
    if (entry) data.value = editText(entry.data);
    if (entry?.ttl !== undefined) ttl.value = `${entry.ttl}s`;
    const save = element('button', { class: 'primary', text: entry ? 'Save' : 'Register' });
    const fields = element(
      'form',
      {},
      ...(entry ? [] : labelled('Name', name)),
      ...labelled('Data: a JSON object, or any text', data),
      ...labelled('Lifetime (empty: until it is deleted)', ttl),
      problem,
      buttons(
        save,
        button('Cancel', () => {
          if (entry) show(entry.name);
          else close();
        }),
      ),
    );
    fields.addEventListener('submit', (event) => {
      event.preventDefault();
      if (save.ariaDisabled === 'true') return;
      const params = {
        data: entry ? edited(editText(entry.data), data.value) : data.value,
        ...(ttl.value.trim() === '' ? {} : { ttl: ttl.value.trim() }),
      };
      problem.textContent = '';
      // A disabled button would lose the focus.
      save.ariaDisabled = 'true';
      const saved = entry ? replace(entry, params) : register(name.value, params);
      saved
        .catch((error: unknown) => {
          problem.textContent = error instanceof Error ? error.message : String(error);
        })
        .finally(() => {
          save.ariaDisabled = 'false';
        });
    });
    place.replaceChildren(heading(title), fields);
    (entry ? data : name).focus();
  }

  async function register(name: string, params: WriteParams): Promise<void> {
    const revision = await api.write('Register', { name, ...params });
    show(name);
    announce(`'${name}' is registered.`, async () => {
      await api.write('Delete', { name, if_revision: revision });
    });
  }

  async function replace(entry: PageEntry, params: WriteParams): Promise<void> {
    const { name } = entry;
    const revision = await api.write('Replace', { name, ...params, if_revision: entry.revision });
    show(name);
    announce(`'${name}' is changed.`, async () => {
      await api.write('Replace', { ...before(entry), if_revision: revision });
    });
  }

  async function remove(entry: PageEntry): Promise<void> {
    const { name, revision } = entry;
    await api.write('Delete', { name, if_revision: revision });
    announce(`'${name}' is deleted.`, async () => {
      // Only if the name has not been registered again since.
      await api.write('Register', before(entry));
    });
  }

  async function attempt(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      announce(error instanceof Error ? error.message : String(error));
    }
  }

  close();
  return {
    show,
    create() {
      shown = undefined;
      form({ title: 'Register an entry' });
    },
    update: draw,
  };
}

interface WriteParams {
  readonly data: string;
  readonly ttl?: string;
}

/** The write that restores an entry. */
function before({ name, data, ttl }: PageEntry): Record<string, unknown> {
  return { name, data, ...(ttl === undefined ? {} : { ttl }) };
}

/** Edited text with the line ends of the original: those of a text area are LF alone. */
function edited(original: string, value: string): string {
  if (value === original.replaceAll(/\r\n?/g, '\n')) return original;
  const isAllCrlf = original.includes('\r\n') && !/[\r\n]/.test(original.replaceAll('\r\n', ''));
  return isAllCrlf ? value.replaceAll('\n', '\r\n') : value;
}

function editText(data: unknown): string {
  return typeof data === 'string' ? data : JSON.stringify(data, undefined, 2);
}

function heading(text: string): HTMLElement {
  return element('h3', { text });
}

function fact(name: string, value: string): HTMLElement[] {
  return [element('dt', { text: name }), element('dd', { text: value })];
}

function button(text: string, press: () => void): HTMLButtonElement {
  return element('button', { text, attributes: { type: 'button' }, on: { click: press } });
}

function buttons(...children: readonly HTMLElement[]): HTMLElement {
  return element('p', { class: 'buttons' }, ...children);
}

function labelled(text: string, field: HTMLElement): HTMLElement[] {
  return [element('label', { text, attributes: { for: field.id } }), field];
}
