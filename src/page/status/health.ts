import { byId, element, setText, updateChildren } from '../element.ts';

interface Check {
  readonly ok: boolean;
  readonly reason?: string;
  readonly warning?: string;
}

/** Shows the answer of `/readyz`: whether the broker is ready, and each of its checks. */
export function showHealth(readiness: Readonly<Record<string, unknown>>): void {
  const checks = Object.entries((readiness['checks'] ?? {}) as Record<string, Check>);
  const isReady = readiness['ready'] === true;
  const warned = checks.filter(([, { ok, warning }]) => ok && warning !== undefined);
  const state = isReady ? (warned.length > 0 ? 'warn' : 'good') : 'bad';
  showState(state, isReady ? (warned.length > 0 ? 'Ready, with warnings' : 'Ready') : 'Not ready');
  const items = checks.map(([name, { ok, reason, warning }]) => {
    const kind = ok ? (warning === undefined ? 'good' : 'warn') : 'bad';
    const word = { good: 'ok', warn: 'warning', bad: 'failed' }[kind];
    const text = reason ?? warning;
    return element(
      'li',
      { class: kind },
      element('strong', { text: name }),
      element('span', { class: 'word', text: word }),
      ...(text === undefined ? [] : [element('span', { class: 'why', text })]),
    );
  });
  updateChildren(byId('checks', HTMLUListElement), ...items);
}

/** The pill at the top of the page. */
export function showState(kind: 'good' | 'warn' | 'bad', text: string): void {
  const pill = byId('state', HTMLElement);
  pill.dataset['kind'] = kind;
  setText(pill, text);
}
