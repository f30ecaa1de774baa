import { inputSchema } from '../../src/api/openapi/schemas.ts';
import { type OptionDoc, moduleOptionDocs, optionDocs } from '../../src/config/option-docs.ts';
import { configSchema, defaults, etcdKeys } from '../../src/config/schema.ts';
import { limitOptions } from '../../src/extensions/limits.ts';
import { isObject, type Json, type JsonObject } from '../../src/protocol/formats/data.ts';
import { table } from './sections.ts';
import { valueText } from './value.ts';

/** Makes three tables of options: the general ones, those of a registry in etcd, and those of the audit trail. */
export function configurationSections(): Record<'options' | 'etcd-options' | 'audit-options', string> {
  const { api, _global, _config, _store, _metrics, _audit } = optionDocs;
  const { discover, MODULE } = moduleOptionDocs;
  const general = { api, discover, MODULE, _global, _config, _store, _metrics, _audit };
  return {
    options: optionTable(general, (section, key) => section !== '_store' || !isOfEtcd(key)),
    'etcd-options': optionTable({ _store }, (_, key) => isOfEtcd(key)),
    'audit-options': optionTable({ _audit }, () => true),
  };
}

const isOfEtcd = (key: string): boolean => etcdKeys.includes(key);

type Notes = Readonly<Record<string, Readonly<Record<string, OptionDoc>>>>;

function optionTable(notes: Notes, isShown: (section: string, key: string) => boolean): string {
  const rows = Object.entries(notes).flatMap(([section, options]) =>
    Object.entries(options)
      .filter(([key]) => isShown(section, key))
      .map(([key, note]) => {
        const schema = schemaOf(section, key);
        return [
          `\`${section}.${key}\``,
          valueText(schema, note.unit),
          note.default ?? literal(defaultOf(section, key, schema)),
          note.needsRestart === true ? 'a restart' : 'a reload',
          note.description,
        ];
      }),
  );
  return table(['option', 'value', 'default', 'counts after', 'meaning'], rows);
}

const whole = inputSchema(configSchema);
const limits = inputSchema(limitOptions);

/** Returns the JSON Schema of an option. `_python` has no schema: the host of Python extensions checks it. */
function schemaOf(section: string, key: string): JsonObject {
  const limit = at(limits, 'properties', key);
  if (section === 'MODULE' && isObject(limit ?? null)) return limit as JsonObject;
  if (section === 'MODULE' && key === '_python') return { type: 'string' };
  const found =
    at(whole, 'properties', section, 'properties', key) ??
    at(whole, 'additionalProperties', 'properties', key);
  if (!isObject(found ?? null)) throw new Error(`No schema checks ${section}.${key}`);
  return found as JsonObject;
}

function defaultOf(section: string, key: string, schema: JsonObject): Json {
  const found = defaults[section]?.[key] ?? schema['default'];
  if (found === undefined) throw new Error(`Nothing says what ${section}.${key} is by default`);
  return found;
}

const literal = (value: Json): string =>
  typeof value === 'string' ? `\`${value === '' ? '""' : value}\`` : JSON.stringify(value);

function at(json: Json | undefined, ...path: readonly string[]): Json | undefined {
  return path.reduce<Json | undefined>(
    (inner, key) => (isObject(inner ?? null) ? (inner as JsonObject)[key] : undefined),
    json,
  );
}
