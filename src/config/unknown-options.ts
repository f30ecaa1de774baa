import { isObject, type JsonObject } from '../protocol/formats/data.ts';
import { suggest } from '../protocol/suggestion.ts';
import { moduleOptionDocs, optionDocs } from './option-docs.ts';
import { auditFileKeys, etcdKeys, isModuleKey } from './schema.ts';

/**
 * The known keys of sections that have no others. Every other top-level object is a module's, which may have
 * keys of its own.
 */
const known: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  Object.entries(optionDocs).map(([section, notes]) => [section, Object.keys(notes)]),
);

/**
 * Options of a configuration that nothing reads: a sentence for each, with the option that was probably
 * meant.
 */
export function unknownOptions(options: JsonObject): string[] {
  return [...unknownKeys(options), ...misspeltKeys(options), ...needlessKeys(options)];
}

/** The options that only another driver of the registry, or another kind of audit trail, reads. */
function needlessKeys(options: JsonObject): string[] {
  return [
    ...needlessIn(options, '_store', 'driver', 'etcd', etcdKeys),
    ...needlessIn(options, '_audit', 'to', 'file', auditFileKeys),
  ];
}

/** The keys among `keys` that are set although an option does not have the value that they need. */
function needlessIn(
  options: JsonObject,
  name: string,
  option: string,
  value: string,
  keys: readonly string[],
): string[] {
  const section = options[name];
  if (!isObject(section) || section[option] === value) return [];
  const given = keys.filter((key) => section[key] !== undefined);
  return given.map(
    (key) => `the option '${name}.${key}' has no effect: it needs '${name}.${option}': '${value}'`,
  );
}

function unknownKeys(options: JsonObject): string[] {
  return Object.entries(options).flatMap(([section, value]) => {
    const keys = Object.hasOwn(known, section) ? known[section] : undefined;
    if (keys && isObject(value)) {
      const unknown = Object.keys(value).filter((key) => !keys.includes(key));
      return unknown.map((key) => sentence(`${section}.${key}`, key, keys, `${section}.`));
    }
    // Modules have other names: it can only be a section.
    const sections = Object.keys(known).filter((name) => name.startsWith('_'));
    return keys === undefined && /^_(?!registry$|backup$)/.test(section)
      ? [sentence(section, section, sections, '')]
      : [];
  });
}

/**
 * The keys of modules that begin with `_` and are nearly one of the broker's. A module may have others, of
 * its own.
 */
function misspeltKeys(options: JsonObject): string[] {
  return Object.entries(options).flatMap(([name, module]) => {
    const isModule = isModuleKey(name);
    if (!isObject(module) || !(isModule || name === 'discover')) return [];
    const keys = Object.keys(isModule ? moduleOptionDocs.MODULE : moduleOptionDocs.discover);
    return Object.keys(module).flatMap((key) => {
      const near = !key.startsWith('_') || keys.includes(key) ? undefined : suggest(key, keys);
      return near === undefined
        ? []
        : `the option '${name}.${key}' is none of the broker's, which does not heed it; did you mean '${name}.${near}'?`;
    });
  });
}

function sentence(at: string, key: string, keys: readonly string[], prefix: string): string {
  const near = suggest(key, keys);
  const instead = near === undefined ? `there are ${keys.join(', ')}` : `did you mean '${prefix}${near}'?`;
  return `the option '${at}' is unknown and has no effect; ${instead}`;
}
