import type { ListOptions, Store } from '../../store/store.ts';
import type { Reply } from '../module.ts';
import { createPageText, pageReply, type PageText } from './page-text.ts';

/**
 * Pages of lists. A page that many requests ask for at one revision is read and made once, for as long as
 * anyone reads it.
 */
export interface PageCache {
  reply(options: ListOptions): Promise<Reply>;
}

interface Made {
  readonly revision: number;
  readonly text: WeakRef<PageText>;
}

/** The most pages that are remembered; the oldest is forgotten, and then made again. */
const MAX_PAGES = 64;
/** How often a page and its count are read again because the registry changed in between. */
const MAX_AGAIN = 3;
/**
 * The longest key of a remembered page: twice the longest name, as JSON may write it. A prefix may be as long
 * as a request.
 */
const MAX_KEY = 12_288;

export function createPageCache(store: Pick<Store, 'revision' | 'fresh' | 'list' | 'count'>): PageCache {
  const made = new Map<string, Made>();
  const making = new Map<string, Promise<PageText>>();

  async function make(key: string, options: ListOptions): Promise<PageText> {
    // A count may take a while, in which the registry changes; a list does not. So both are of one state,
    // unless others write to the registry too.
    let count = await store.count(options.prefix ?? '');
    let counted = store.revision;
    let page = await store.list(options);
    for (let again = 0; page.revision !== counted && again < MAX_AGAIN; again++) {
      count = await store.count(options.prefix ?? '');
      counted = store.revision;
      page = await store.list(options);
    }
    const text = createPageText(page, count);
    if (key.length > MAX_KEY) return text;
    made.delete(key);
    made.set(key, { revision: page.revision, text: new WeakRef(text) });
    for (const oldest of made.keys()) {
      if (made.size <= MAX_PAGES) break;
      made.delete(oldest);
    }
    return text;
  }

  return {
    async reply(options) {
      const { prefix = '', after, limit } = options;
      await store.fresh?.();
      const key = JSON.stringify([limit, prefix, after]);
      const present = made.get(key);
      const held = present?.revision === store.revision ? present.text.deref() : undefined;
      if (held) return pageReply(held);
      // A request that comes meanwhile gets a state that is not older than the request.
      const underWay = `${store.revision} ${key}`;
      const text = making.get(underWay) ?? make(key, options).finally(() => making.delete(underWay));
      making.set(underWay, text);
      return pageReply(await text);
    },
  };
}
