import { toJson } from '../../protocol/formats/json.ts';
import { type Entry, lifetimeOf, stamp } from '../../protocol/registry/entry.ts';
import { MAX_PAGE_BYTES } from '../../protocol/registry/services-params.ts';
import type { Page } from '../../store/store.ts';
import { laterReply } from '../later-reply.ts';
import type { Reply } from '../module.ts';
import { sharedText } from '../shared-text.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * The answer with one page of a list, for all requests for it. Its text is made piece by piece as it is read,
 * and the pieces in memory for one reader serve the others. The unread rest is not held: an unread answer
 * costs one list of entries, which the registry holds anyway.
 */
export interface PageText {
  /** Piece `index` of the text as JSON; undefined after the last. A reader asks for them in order. */
  piece(index: number): Bytes | undefined;
}

/** Short entries travel together in pieces of about this length. */
const PIECE = 16 * 1024;
/** A page up to about this length is answered with its length. */
const WHOLE = 64 * 1024;

/** The entries of a piece: several in a row, or the bytes of a long one. */
interface Span {
  readonly from: number;
  readonly to: number;
  readonly isLong: boolean;
  /** Whether a long one follows, which has no comma of its own. */
  readonly longFollows: boolean;
  readonly isLast: boolean;
  made: WeakRef<Bytes>;
}

const encoder = new TextEncoder();

const entryText = sharedText((entry: Entry) =>
  toJson({ name: entry.name, revision: entry.revision, data: stamp(entry), ...lifetimeOf(entry) }),
);

/**
 * @param count the number of all entries under the prefix, on this page or not.
 * @param maxBytes the most bytes of the page; the entries after that are on the next one. A single entry
 * always fits.
 */
export function createPageText(page: Page, count: number, maxBytes: number = MAX_PAGE_BYTES): PageText {
  const { entries } = page;
  const spans: Span[] = [];
  let end = entries.length;
  let bytes = 0;

  /** Makes the text of the entries from `from` on, up to the end of a piece, or as far as it went before. */
  function make(from: number, known?: Span): { text: string; span: Omit<Span, 'made'> } {
    let text = from === 0 ? '{"success":true,"message":"Success","data":{"entries":[' : '';
    let at = from;
    let longFollows = false;
    for (const stop = known?.to ?? Infinity; at < Math.min(end, stop); at++) {
      const item = textAt(at);
      if (known === undefined) {
        bytes += 1 + (typeof item === 'string' ? Buffer.byteLength(item) : item.length);
        if (at > 0 && bytes > maxBytes) {
          // A page has at least one entry, or the next page would be this one again.
          end = at;
          break;
        }
      }
      if (typeof item !== 'string') {
        longFollows = true;
        break;
      }
      text += at > 0 ? `,${item}` : item;
      if (text.length >= PIECE && known === undefined) {
        at++;
        break;
      }
    }
    longFollows = known?.longFollows ?? longFollows;
    if (longFollows && at > 0) text += ',';
    // The page may end where a piece before the last one ends, if only then the next entry turned out to be
    // too long.
    const isLast = known?.isLast ?? (at === end && !longFollows);
    if (isLast) text += tail();
    return { text, span: { from, to: at, isLong: false, longFollows, isLast } };
  }

  function textAt(index: number): string | Bytes {
    const entry = entries[index];
    if (entry === undefined) throw new RangeError(`No entry ${index} on a page of ${entries.length}`);
    return entryText(entry);
  }

  function tail(): string {
    const after = end < entries.length ? entries[end - 1]?.name : page.next;
    const rest = JSON.stringify({ count, ...(after === undefined ? {} : { next: after }) });
    return `],${rest.slice(1)},"revision":${page.revision}}`;
  }

  function longAt(index: number): Bytes {
    const item = textAt(index);
    return typeof item === 'string' ? encoder.encode(item) : item;
  }

  function next(): Bytes | undefined {
    const last = spans.at(-1);
    if (last?.isLast) return undefined;
    if (last?.longFollows) {
      const made = longAt(last.to);
      const place = { from: last.to, to: last.to + 1, isLong: true, longFollows: false, isLast: false };
      spans.push({ ...place, made: new WeakRef(made) });
      return made;
    }
    const { text, span } = make(last?.to ?? 0);
    const made = encoder.encode(text);
    spans.push({ ...span, made: new WeakRef(made) });
    return made;
  }

  return {
    piece(index) {
      const span = spans[index];
      if (span === undefined) return next();
      const held = span.made.deref();
      if (held) return held;
      const made = span.isLong ? longAt(span.from) : encoder.encode(make(span.from, span).text);
      span.made = new WeakRef(made);
      return made;
    },
  };
}

/** A reply that carries a page; each reader needs a new one. */
export function pageReply(page: PageText): Reply {
  return laterReply(() => bodyOf(page));
}

function bodyOf(page: PageText): Reply['body'] {
  const begun: Bytes[] = [];
  let size = 0;
  for (let index = 0; size <= WHOLE; index++) {
    const piece = page.piece(index);
    if (piece === undefined) return joined(begun, size);
    begun.push(piece);
    size += piece.length;
  }
  return readFrom(page, begun);
}

function joined(pieces: readonly Bytes[], size: number): Bytes {
  const [only] = pieces;
  if (only && pieces.length === 1) return only;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

// oxlint-disable-next-line typescript/require-await -- a body in parts is asynchronous
async function* readFrom(page: PageText, begun: Bytes[]): AsyncGenerator<Bytes> {
  let index = 0;
  // Each piece is released as it is read, so that a reader that stops holds only the rest of the first ones.
  for (let piece = begun.shift(); piece; piece = begun.shift()) {
    index++;
    yield piece;
  }
  for (let piece = page.piece(index++); piece; piece = page.piece(index++)) yield piece;
}
