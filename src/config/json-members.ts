import { parseJson } from '../protocol/formats/json.ts';
import type { Json } from '../protocol/formats/data.ts';
import type { TextSource } from './text-source.ts';

/** An object within a JSON document whose members are delivered one by one, instead of all at once. */
export interface Section {
  /** Called at its beginning. Where a document has it twice, the last one counts. */
  begin?(): void;
  /**
   * Takes a member; `text` is all of it as it was read, from the name's quote on. False leaves it in the
   * document.
   */
  member?(name: string, value: Json, text: string): boolean;
  /** Sections within it. */
  readonly sections?: Readonly<Record<string, Section>>;
}

/**
 * Text that is not JSON, or too long. The mistake can be found in `text`, which begins at place `at` of the
 * source.
 */
export interface Malformed {
  /** Replaces the text that was read before, which was well-formed. */
  readonly lead: string;
  /** The place in the source's text where the wrong piece begins. */
  readonly at: number;
  readonly tooLong: boolean;
}

/** The document as text without the taken members; or a text that is not an object, or malformed. */
export type Outcome =
  | { readonly text: string }
  | { readonly notObject: true }
  | { readonly malformed: Malformed };

/**
 * Memory holds one member at a time, and all that stay. An entry takes 6 MiB at most, with every character
 * escaped.
 */
const MAX_MEMBER_CHARS = 64 * 1024 * 1024;
/** After so many lines in a row that do not hold one member, the file has another layout. */
const MAX_MISSES = 8;

const [QUOTE, COMMA, COLON, BACKSLASH] = [0x22, 0x2c, 0x3a, 0x5c];
const [OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, NEWLINE] = [0x7b, 0x7d, 0x5b, 0x5d, 0x0a];

/** Reads an object member by member. */
export async function readMembers(source: TextSource, root: Section): Promise<Outcome> {
  let text = '';
  let pos = 0;
  let misses = 0;
  let keptChars = 0;
  let malformed: Malformed | undefined;

  function fail(depth: number, afterComma: boolean, tooLong = false): undefined {
    malformed ??= { lead: '{"":'.repeat(depth - 1) + (afterComma ? '{"":0,' : '{'), at: pos, tooLong };
    return undefined;
  }

  async function more(): Promise<void> {
    await source.more(pos);
    ({ text } = source);
    pos = 0;
  }

  /** The next character that is not white space; NaN at the end. */
  async function peek(): Promise<number> {
    for (;;) {
      pos = skipSpace(text, pos);
      if (pos < text.length) return text.charCodeAt(pos);
      if (source.ended) return Number.NaN;
      await more();
    }
  }

  /**
   * `pos` is after the opening brace. Returns the members that stay, as text; undefined when it is malformed.
   */
  async function readObject(section: Section, depth: number): Promise<string[] | undefined> {
    const kept: string[] = [];
    section.begin?.();
    for (let isNext = false; ; isNext = true) {
      if (section.member && takeLines(section, kept)) isNext = true;
      // White space is not part of the member: a mistake after it is reported at its own place.
      if ((await peek()) === CLOSE && !isNext) {
        pos++;
        return kept;
      }
      const found = await nextMember(section, depth, isNext);
      if (found === undefined) return undefined;
      pos = found.end;
      if (!('inner' in found)) {
        take(section, found.name, found.value, found.text, kept);
        if (found.last) return kept;
        continue;
      }
      const inner = await readObject(found.inner, depth + 1);
      if (inner === undefined) return undefined;
      kept.push(`${JSON.stringify(found.name)}:{${inner.join(',')}}`);
      const next = await peek();
      if (next !== CLOSE && next !== COMMA) {
        malformed = { lead: `${'{"":'.repeat(depth)}{}`, at: pos, tooLong: false };
        return undefined;
      }
      pos++;
      if (next === CLOSE) return kept;
    }
  }

  /** The broker writes one entry to a line: the runtime's own search and parser find such members fastest. */
  function takeLines(section: Section, kept: string[]): boolean {
    let taken = false;
    while (misses < MAX_MISSES) {
      const start = skipSpace(text, pos);
      const end = text.indexOf('\n', start);
      if (end === -1 || text.charCodeAt(end - 1) !== COMMA) break;
      const parsed = parseMember(text, start, end - 1);
      misses = parsed === undefined ? misses + 1 : 0;
      if (parsed === undefined) break;
      take(section, parsed.name, parsed.value, text.slice(start, end - 1), kept);
      pos = end + 1;
      taken = true;
    }
    return taken;
  }

  function take(section: Section, name: string, value: Json, member: string, kept: string[]): void {
    if (section.member?.(name, value, member) ?? false) return;
    keptChars += member.length;
    kept.push(member);
  }

  async function nextMember(
    section: Section,
    depth: number,
    afterComma: boolean,
  ): Promise<Member | undefined> {
    for (;;) {
      const found = memberAt(text, pos, section, source.ended);
      if (found !== 'incomplete') return found === 'malformed' ? fail(depth, afterComma) : found;
      if (source.ended) return fail(depth, afterComma);
      if (text.length - pos + keptChars > MAX_MEMBER_CHARS) return fail(depth, afterComma, true);
      await more();
    }
  }

  // Nothing is released yet: the whole text of a value that is not an object is needed to recognise it.
  do {
    await more();
    pos = 0;
  } while (!source.ended && skipSpace(text, 0) === text.length && text.length < MAX_MEMBER_CHARS);
  pos = skipSpace(text, 0);
  if (text.charCodeAt(pos) !== OPEN) return { notObject: true };
  pos++;
  const kept = await readObject(root, 1);
  if (kept === undefined) return { malformed: malformed ?? { lead: '', at: pos, tooLong: false } };
  if (!Number.isNaN(await peek())) return { malformed: { lead: '{}', at: pos, tooLong: false } };
  return { text: `{${kept.join(',')}}` };
}

type Member =
  | { readonly name: string; readonly inner: Section; readonly end: number }
  | {
      readonly name: string;
      readonly value: Json;
      readonly text: string;
      /** The place after the comma or brace that follows. */
      readonly end: number;
      /** Whether a brace follows. */
      readonly last: boolean;
    };

function memberAt(
  text: string,
  start: number,
  section: Section,
  ended: boolean,
): Member | 'malformed' | 'incomplete' {
  if (start >= text.length) return 'incomplete';
  if (text.charCodeAt(start) !== QUOTE) return 'malformed';
  const nameEnd = endOfString(text, start);
  if (nameEnd === -1) return 'incomplete';
  const colon = skipSpace(text, nameEnd);
  if (colon >= text.length) return 'incomplete';
  if (text.charCodeAt(colon) !== COLON) return 'malformed';
  const valueStart = skipSpace(text, colon + 1);
  if (valueStart >= text.length) return 'incomplete';
  if (section.sections !== undefined && text.charCodeAt(valueStart) === OPEN) {
    const name = parse(text.slice(start, nameEnd));
    if (typeof name !== 'string') return 'malformed';
    const inner = Object.hasOwn(section.sections, name) ? section.sections[name] : undefined;
    if (inner !== undefined) return { name, inner, end: valueStart + 1 };
  }
  const valueEnd = endOfValue(text, valueStart, ended);
  if (valueEnd === -1) return 'incomplete';
  const next = skipSpace(text, valueEnd);
  if (next >= text.length) return 'incomplete';
  const follows = text.charCodeAt(next);
  if (follows !== COMMA && follows !== CLOSE) return 'malformed';
  const parsed = parseMember(text, start, valueEnd);
  if (parsed === undefined) return 'malformed';
  return { ...parsed, text: text.slice(start, valueEnd), end: next + 1, last: follows === CLOSE };
}

/**
 * Parses the text from `start` to `end` as one member; undefined when it is anything else. Name and value are
 * parsed separately: an object for each name would have a new shape each time, which costs the runtimes more
 * than all the rest.
 */
function parseMember(text: string, start: number, end: number): { name: string; value: Json } | undefined {
  if (text.charCodeAt(start) !== QUOTE) return undefined;
  const nameEnd = endOfString(text, start);
  if (nameEnd === -1 || nameEnd >= end) return undefined;
  const colon = skipSpace(text, nameEnd);
  if (colon >= end || text.charCodeAt(colon) !== COLON) return undefined;
  const name = parse(text.slice(start, nameEnd));
  const value = name === undefined ? undefined : parse(text.slice(colon + 1, end));
  return typeof name !== 'string' || value === undefined ? undefined : { name, value };
}

function parse(text: string): Json | undefined {
  try {
    return parseJson(text) as Json;
  } catch {
    // The caller reports where and why, since it knows more about the place.
    return undefined;
  }
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== NEWLINE && code !== 0x0d && code !== 0x09) break;
  }
  return at;
}

/** The place after the string that begins at `from`; -1 when its end is missing. */
function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = end;
    while (text.charCodeAt(slashes - 1) === BACKSLASH) slashes--;
    if ((end - slashes) % 2 === 0) return end + 1;
  }
  return -1;
}

/**
 * The place after the value that begins at `from`; -1 when its end is missing. It does not check that the
 * value is JSON.
 */
function endOfValue(text: string, from: number, ended: boolean): number {
  const first = text.charCodeAt(from);
  if (first === QUOTE) return endOfString(text, from);
  if (first !== OPEN && first !== OPEN_LIST) return endOfWord(text, from, ended);
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at) - 1;
      if (at < 0) return -1;
    } else if (code === OPEN || code === OPEN_LIST) {
      depth++;
    } else if ((code === CLOSE || code === CLOSE_LIST) && --depth === 0) {
      return at + 1;
    }
  }
  return -1;
}

function endOfWord(text: string, from: number, ended: boolean): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code <= 0x20 || code === COMMA || code === CLOSE || code === CLOSE_LIST) return at;
  }
  return ended ? text.length : -1;
}
