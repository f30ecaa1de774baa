import type { BrokerApi, CalledModule, ClusterBroker, PastCall, Status } from '../api/broker-api.ts';
import { ApiError } from '../api/broker-api.ts';
import { byId, element, setText, updateChildren } from '../element.ts';
import { duration, latency, time } from '../format.ts';

/** Shows the last calls of extensions, and the brokers that serve the registry. */
export interface StatusView {
  /**
   * Reads both once, and shows an error.
   * @param hasKey whether the page's key has opened the registry: a wrong key must not be presented again and
   * again.
   */
  poll(hasKey: boolean): Promise<void>;
}

export function createStatusView(api: BrokerApi, now: () => number): StatusView {
  const section = byId('extensions', HTMLElement);
  const note = byId('extensions-note', HTMLElement);
  const form = byId('extensions-form', HTMLFormElement);
  const field = byId('extensions-key', HTMLInputElement);
  /** A key of an extension, kept only in memory; forgotten once it was refused. */
  let ownKey = '';
  let refusal = '';
  let drawn = '';
  let latest: Status | undefined;

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    ownKey = field.value;
    field.value = '';
    refusal = '';
    void show(latest);
  });

  /** Adds what the extension's own key shows. */
  async function withOwnKey(status: Status): Promise<Status> {
    if (ownKey === '') return status;
    try {
      const more = await api.status(ownKey);
      const shown = new Set(status.modules.map(({ name }) => name));
      const added = more.modules.filter(({ name }) => !shown.has(name));
      return {
        ...status,
        modules: [...status.modules, ...added],
        hidden: Math.max(0, status.hidden - added.length),
      };
    } catch (error) {
      // A wrong key counts against this host each time it is presented.
      if (error instanceof ApiError && error.status > 0) {
        ownKey = '';
        refusal = error.message;
      }
      return status;
    }
  }

  async function show(read: Status | undefined): Promise<void> {
    if (read === undefined) return;
    const status = await withOwnKey(read);
    const { modules, hidden, cluster } = status;
    section.hidden = modules.length + hidden === 0;
    form.hidden = hidden === 0;
    setText(note, refusal === '' ? hiddenText(hidden) : refusal);
    showCluster(cluster);
    // Drawn only after a change, so that a reader does not lose the row that they read.
    const text = JSON.stringify(modules);
    if (text === drawn) return;
    drawn = text;
    updateChildren(byId('modules', HTMLElement), ...modules.map(moduleItem));
  }

  function showCluster(cluster: Status['cluster']): void {
    byId('cluster', HTMLElement).hidden = cluster === undefined;
    if (cluster === undefined) return;
    const { brokers, problem } = cluster;
    setText(byId('cluster-note', HTMLElement), problem === undefined ? '' : `As last known: ${problem}`);
    updateChildren(byId('brokers', HTMLUListElement), ...brokers.map((one) => brokerItem(one, now())));
  }

  return {
    async poll(hasKey) {
      latest = await api.status(hasKey);
      await show(latest);
    },
  };
}

function hiddenText(hidden: number): string {
  if (hidden === 0) return '';
  return hidden === 1 ? 'One asks for a key of its own.' : `${hidden} ask for keys of their own.`;
}

function moduleItem({ name, running, calls }: CalledModule): HTMLElement {
  const state = running > 0 ? `${running} under way` : calls.length === 0 ? 'not called yet' : '';
  const head = element(
    'h3',
    {},
    element('code', { text: name }),
    element('span', { class: 'quiet', text: state }),
  );
  if (calls.length === 0) return element('div', { class: 'module' }, head);
  const columns = ['Time', 'Method', 'From', 'Outcome', 'Took'].map((text) =>
    element('th', { text, attributes: { scope: 'col' } }),
  );
  const table = element(
    'table',
    { attributes: { 'aria-label': `Last calls of ${name}` } },
    element('thead', {}, element('tr', {}, ...columns)),
    element('tbody', {}, ...calls.map(callRow)),
  );
  const scroller = element(
    'div',
    { class: 'scroller', attributes: { tabindex: '0', role: 'group', 'aria-label': `Calls of ${name}` } },
    table,
  );
  return element('div', { class: 'module' }, head, scroller);
}

function callRow({ at, method, source, outcome, seconds }: PastCall): HTMLElement {
  const when = element('time', { text: time(Date.parse(at) / 1000), attributes: { datetime: at } });
  return element(
    'tr',
    {},
    element('td', {}, when),
    element('td', { class: 'method', text: method }),
    element('td', { class: 'source', text: source === '' ? 'unknown' : source }),
    element('td', { class: outcome === 'ok' ? 'good' : 'bad', text: outcome.replaceAll('_', ' ') }),
    element('td', { text: latency(seconds) }),
  );
}

function brokerItem({ url, host, version, since, self }: ClusterBroker, at: number): HTMLElement {
  const up = duration(at - Date.parse(since) / 1000);
  return element(
    'li',
    {},
    element('strong', { text: host }),
    element('span', { class: 'word quiet', text: self ? 'this one' : '' }),
    element('span', { class: 'why', text: `${url}, version ${version}, for ${up}` }),
  );
}
