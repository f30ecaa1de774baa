import { isObject, type Json, type JsonObject, MAX_DATA_DEPTH } from '../formats/data.ts';
import { BrokerError } from '../errors.ts';

/**
 * The path to a member of an object that is to be removed: the names that lead to it, from the outside
 * inwards.
 */
export type MemberPath = readonly string[];

/** The most members that one request removes. */
export const MAX_UNSET = 1000;
/** The most characters of a member in a message. */
const MAX_SHOWN = 80;

/**
 * Reads the path of a member: dots lead inwards (`db.host`), `\.` is a dot and `\\` a backslash within a
 * name.
 * @param what names the value in the message, such as `--unset`.
 * @throws BrokerError `code` for an empty name, for a backslash before any other character, and for more
 * names than data has levels.
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
      // No data is so deep, and a path of many names costs far more than its text.
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

/** The members to remove from one object: a member whole, or the members to remove from it. */
interface Tree extends Map<string, Tree | 'whole'> {}

/**
 * Returns the object without those members; a member that does not exist is no error. Paths lead through
 * objects only, not through lists. Parts without a change are shared with `data`. One pass removes all of
 * them.
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
