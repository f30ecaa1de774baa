import { element } from '../element.ts';
import { time } from '../format.ts';
import type { FeedChange } from './registry-feed.ts';

/** The list of the last changes, the latest first. */
export interface ChangeList {
  add(change: FeedChange): void;
}

const MOST = 50;

const words = { put: 'written', delete: 'deleted', expire: 'expired' };

export function createChangeList(place: HTMLElement, choose: (name: string) => void): ChangeList {
  const known = new Set<number>();
  let pending: FeedChange[] = [];

  function draw(): void {
    const items = pending.slice(-MOST).toReversed().map(itemOf);
    pending = [];
    if (items.length === 0) return;
    place.querySelector('.quiet')?.remove();
    place.prepend(...items);
    while (place.children.length > MOST) place.lastElementChild?.remove();
  }

  function itemOf({ type, name, at }: FeedChange): HTMLElement {
    const when = element('time', {
      text: time(at),
      attributes: { datetime: new Date(at * 1000).toISOString() },
    });
    const open = element('button', {
      class: 'link',
      text: name,
      attributes: { type: 'button' },
      on: { click: () => choose(name) },
    });
    return element('li', { class: type }, when, open, element('span', { text: words[type] }));
  }

  return {
    add(change) {
      // A new watch may repeat changes that the page has.
      if (known.has(change.revision)) return;
      known.add(change.revision);
      if (known.size > 10_000) known.clear();
      pending.push(change);
      if (pending.length === 1) requestAnimationFrame(draw);
      if (pending.length > 2 * MOST) pending = pending.slice(-MOST);
    },
  };
}
