import { escapeControls } from '../errors.ts';

/**
 * A correct `JSON.parse`. V8 in Node 24 and Deno 2.9 mistakes a key with an escape for another key that it
 * has seen at that place, when that key's text begins alike. After `{"q":1,"\\":1}`, it reads the text
 * `{"q":1,"\n":1}` as the first one. The mistaken key always has a backslash. Few keys do, so those texts are
 * read again without V8's parser.
 *
 * @throws SyntaxError as `JSON.parse`; RangeError where such a text is nested too deeply to be read again.
 */
export function parseJson(text: string): unknown {
  const value = JSON.parse(text);
  return text.includes('\\') && hasBackslashInKey(value) ? readExactly(text) : value;
}

/**
 * A value as JSON whose control characters are all escaped. `JSON.stringify` leaves DEL and U+0080 to U+009F
 * as they are, and a terminal obeys them. A value that JSON has no text for, such as `undefined`, is `null`.
 */
export function toJson(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  return text === undefined ? 'null' : escapeControls(text);
}

function hasBackslashInKey(value: unknown): boolean {
  const left: unknown[] = [value];
  for (let next = left.pop(); left.length > 0 || next !== undefined; next = left.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    if (!Array.isArray(next) && Object.keys(next).some((key) => key.includes('\\'))) return true;
    for (const inner of Object.values(next) as unknown[]) {
      if (typeof inner === 'object' && inner !== null) left.push(inner);
    }
  }
  return false;
}

/** Reads text that is known to be JSON. It parses only single strings and words, which hold no keys. */
function readExactly(text: string): unknown {
  const space = /[ \t\n\r]*/y;
  const string = /"[^"\\]*(?:\\.[^"\\]*)*"/y;
  const word = /[^ \t\n\r,\]}]+/y;
  let at = 0;

  function take(pattern: RegExp): string {
    pattern.lastIndex = at;
    const [found = ''] = pattern.exec(text) ?? [];
    at += found.length;
    return found;
  }

  /** The next character that is not white space. */
  function next(): string {
    take(space);
    return text.charAt(at);
  }

  function readObject(): unknown {
    const object: Record<string, unknown> = {};
    at++;
    while (next() !== '}') {
      if (text.charAt(at) === ',') at++;
      next();
      const key = JSON.parse(take(string)) as string;
      next();
      at++;
      // `__proto__` is a key like any other.
      Object.defineProperty(object, key, {
        value: readValue(),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    at++;
    return object;
  }

  function readList(): unknown {
    const list: unknown[] = [];
    at++;
    while (next() !== ']') {
      if (text.charAt(at) === ',') at++;
      list.push(readValue());
    }
    at++;
    return list;
  }

  function readValue(): unknown {
    const first = next();
    if (first === '{') return readObject();
    if (first === '[') return readList();
    return JSON.parse(take(first === '"' ? string : word));
  }

  return readValue();
}
