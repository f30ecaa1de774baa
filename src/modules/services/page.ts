import { type Entry, stamp } from '../../protocol/entry.ts';
import { MAX_PAGE_BYTES } from '../../protocol/services.ts';
import type { Page } from '../../store/store.ts';
import type { Reply } from '../module.ts';
import { sharedText } from '../shared-text.ts';

/** A page up to about this length is made at once, and told with its length. */
const WHOLE = 64 * 1024;
/** Short entries travel together in parts of about this length. */
const PART = 16 * 1024;

/**
 * The answer that carries a page: `count` is how many entries are under its prefix, on this page or not. A page has at most
 * `maxBytes`; the entries beyond are for the next one. A long one is made while it is read, part by part: an answer that
 * nobody reads costs a list of entries that the registry holds anyway, and not their text.
 */
export function pageReply(page: Page, count: number, maxBytes: number = MAX_PAGE_BYTES): Reply {
  const parts = partsOf(page, count, maxBytes);
  let begun = '';
  // Not by `for`, which would end the parts when it is left.
  for (;;) {
    const { done, value } = parts.next();
    if (done) return { body: begun };
    if (typeof value !== 'string') return { body: asTheyAreRead([begun, value], parts) };
    begun += value;
    if (begun.length > WHOLE) return { body: asTheyAreRead([begun], parts) };
  }
}

type Part = string | Uint8Array;

// oxlint-disable-next-line typescript/require-await -- a body in parts is asynchronous
async function* asTheyAreRead(begun: readonly Part[], rest: Iterable<Part>): AsyncGenerator<Part> {
  yield* begun;
  yield* rest;
}

const entryText = sharedText((entry: Entry) =>
  JSON.stringify({ name: entry.name, revision: entry.revision, data: stamp(entry) }),
);

/** The parts of the JSON text; what ends the page is known only at its end. */
function* partsOf(
  { entries, revision, next }: Page,
  count: number,
  maxBytes: number,
): Generator<Part, undefined> {
  let text = '{"success":true,"message":"Success","data":{"entries":[';
  let bytes = 0;
  let after = next;
  let last: Entry | undefined;
  for (const entry of entries) {
    const item = entryText(entry);
    bytes += 1 + (typeof item === 'string' ? Buffer.byteLength(item) : item.length);
    if (last && bytes > maxBytes) {
      // One entry is a page at the least, or the next page would be this one again.
      after = last.name;
      break;
    }
    if (last) text += ',';
    last = entry;
    if (typeof item === 'string') {
      text += item;
      if (text.length < PART) continue;
      yield text;
    } else {
      yield text;
      yield item;
    }
    text = '';
  }
  const rest = JSON.stringify({ count, ...(after === undefined ? {} : { next: after }) });
  yield `${text}],${rest.slice(1)},"revision":${revision}}`;
}
