import { isObject, type Json, type JsonObject } from '../protocol/formats/data.ts';

const KEY = '_access_key';
const NO_GUARD = `a key here guards no module: put "${KEY}" into the object of each module`;

/**
 * Says why a module's object leaves it open or guarded by nothing, against its author's will; undefined when
 * it does not. `"_access_key": ""` asks for no key, as in the original's files. The text repeats no key.
 */
export function moduleKeyProblem(section: string, options: JsonObject): string | undefined {
  // The keys of discovery have other rules, for lists too.
  if (Object.hasOwn(options, KEY))
    return section === 'discover' ? undefined : listProblem(section, options[KEY]);
  const misspelt = Object.keys(options).find(isMisspelt);
  return misspelt === undefined ? undefined : misspeltProblem(section, misspelt);
}

/**
 * As {@link moduleKeyProblem}, for text beside the entries in `services`: a plain string under a name such as
 * `access_key` was meant as its key. An entry of that name has stamps.
 */
export function servicesKeyProblem(services: JsonObject): string | undefined {
  if (Object.hasOwn(services, KEY)) return undefined;
  const misspelt = Object.keys(services).find(
    (name) => isMisspelt(name) && (!isObject(services[name]) || name.startsWith('_')),
  );
  return misspelt === undefined ? undefined : misspeltProblem('services', misspelt);
}

/**
 * Says why a key in an object that is not a module's, such as `api`, guards nothing; undefined where there is
 * no key.
 */
export function sectionKeyProblem(section: string, options: JsonObject): string | undefined {
  const key = options[KEY];
  return key === undefined || key === '' ? undefined : `option ${section}.${KEY}: ${NO_GUARD}`;
}

/** Says why a key beside the modules guards none of them; undefined where there is no key. */
export function strayKeyProblem(key: string, value: Json): string | undefined {
  if (isObject(value)) return undefined;
  return key === KEY || isMisspelt(key) ? `option ${key}: ${NO_GUARD}` : undefined;
}

function listProblem(section: string, key: Json | undefined): string | undefined {
  if (!Array.isArray(key)) return undefined;
  const open = `give a key, or "${KEY}": "" for a module without one`;
  if (key.length === 0) return `option ${section}.${KEY}: an empty list holds no key: ${open}`;
  const index = key.indexOf('');
  return index === -1 ? undefined : `option ${section}.${KEY}[${index}]: it is empty: ${open}`;
}

function misspeltProblem(section: string, key: string): string {
  return `option ${section}.${key} guards nothing; did you mean "${KEY}"? If the module is to be open, add "${KEY}": ""`;
}

const LETTERS = 'accesskey';

/** Whether a key is `_access_key` except for a slip or two, case, and the marks between its words. */
function isMisspelt(key: string): boolean {
  if (key === KEY) return false;
  const letters = key.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  // Longer words with that beginning have another meaning, such as access_key_id.
  return letters.length <= LETTERS.length + 1 && slips(letters, LETTERS) <= 2;
}

/** The number of letters to insert, remove or replace to turn `a` into `b`. */
function slips(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    above = row;
  }
  return above[b.length] ?? 0;
}
