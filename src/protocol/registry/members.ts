import { isObject, type Json, type JsonObject, MAX_DATA_DEPTH } from '../formats/data.ts';
import { BrokerError } from '../errors.ts';

/** Members of an object that are to go: by the names that lead to them, from the outside inwards. */
export type MemberPath = readonly string[];

/** Most members that one request removes. */
export const MAX_UNSET = 1000;
/** Characters of a member in a message. */
const MAX_SHOWN = 80;

/**
 * Reads how a member is named: dots lead inwards (`db.host`), `\.` is a dot and `\\` a backslash within a name.
 * @param what names the value in the message, such as `--unset`.
 * @throws BrokerError `code` for an empty name, for a backslash before anything else, and for more names than data has levels.
 */
export function parseMember(
  text: string,
  what: string,
  code: 'usage' | 'invalid_request' = 'invalid_request',
): MemberPath {
  const fail = (problem: string): never => {
    const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
    throw new BrokerError(code, `Invalid ${what} '${shown}': ${problem}`);
  };
  const names = [''];
  for (let at = 0; at < text.length; at++) {
    let char = text.charAt(at);
    if (char === '.') {
      // Nothing could be there, and a path of many names costs far more than its text.
      if (names.push('') > MAX_DATA_DEPTH) fail(`no data is deeper than ${MAX_DATA_DEPTH} levels`);
      continue;
    }
    if (char === '\\') {
      char = text.charAt(++at);
      if (char !== '.' && char !== '\\')
        fail(String.raw`a backslash may only come before a dot or a backslash; write \\ for a backslash`);
    }
    names.push(`${names.pop() ?? ''}${char}`);
  }
  if (names.includes(''))
    fail(
      String.raw`expected the name of a member, such as host or db.host; write \. for a dot within a name`,
    );
  return names;
}

/** What is to go of one object: a member whole, or what is to go of it. */
interface Tree extends Map<string, Tree | 'whole'> {}

/**
 * The object without those members; what is not there is no error. Objects alone are looked into, no lists. What is not
 * changed is shared with `data`. All are removed in one pass, however many they are.
 */
export function withoutMembers(data: JsonObject, paths: readonly MemberPath[]): JsonObject {
  const root: Tree = new Map();
  for (const path of paths) plant(root, path);
  return prune(data, root);
}

function plant(root: Tree, path: MemberPath): void {
  let tree = root;
  for (const [index, name] of path.entries()) {
    const present = tree.get(name);
    if (present === 'whole') return;
    if (index === path.length - 1) {
      tree.set(name, 'whole');
      return;
    }
    const next: Tree = present ?? new Map<string, Tree | 'whole'>();
    tree.set(name, next);
    tree = next;
  }
}

function prune(data: JsonObject, tree: Tree): JsonObject {
  const left: Record<string, Json> = {};
  for (const [name, value] of Object.entries(data)) {
    const gone = tree.get(name);
    if (gone === 'whole') continue;
    left[name] = gone && isObject(value) ? prune(value, gone) : value;
  }
  return left;
}
