import { openApiDocument, ofEveryCall } from '../../src/api/openapi/document.ts';
import { type Operation, operations } from '../../src/api/openapi/operations.ts';
import { inputSchema } from '../../src/api/openapi/schemas.ts';
import { isObject, type Json, type JsonObject } from '../../src/protocol/formats/data.ts';
import { table } from './sections.ts';
import { valueText } from './value.ts';

/** Makes the tables of the methods, of their parameters, and of the other paths. */
export function httpSections(): Record<'methods' | 'parameters' | 'paths', string> {
  return { methods: methodTable(), parameters: parameterTable(), paths: pathTable() };
}

/** @throws Error for a value that is not a text: every part of the document has a description. */
function textOf(json: Json | undefined): string {
  if (typeof json !== 'string') throw new Error('A part of the OpenAPI document has no description');
  return json;
}

const statuses = (list: readonly (number | string)[]): string => list.join(', ');

function methodTable(): string {
  const rows = operations.map((operation) => {
    const { summary, answer, failing } = operation;
    const parameters = parametersOf(operation).map(({ name, isRequired }) =>
      isRequired ? `\`${name}\`` : `\`[${name}]\``,
    );
    const answers = textOf(answer['description']);
    return [`\`${callOf(operation)}\``, summary, parameters.join(', '), answers, statuses(failing)];
  });
  return [
    `Optional parameters are in brackets. Any call may fail with ${statuses(ofEveryCall)} too.`,
    table(['call', 'does', 'parameters', 'answers', 'may fail with'], rows),
  ].join('\n\n');
}

function parameterTable(): string {
  const all = operations.flatMap((operation) =>
    parametersOf(operation).map(({ name, schema }) => ({ name, schema, call: operation.method })),
  );
  const told = new Map<string, { name: string; schema: JsonObject; calls: string[] }>();
  for (const { name, schema, call } of all) {
    const key = JSON.stringify([name, schema]);
    const known = told.get(key);
    if (known) known.calls.push(call);
    else told.set(key, { name, schema, calls: [call] });
  }
  const rows = [...told.values()]
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .map(({ name, schema, calls }) => [
      `\`${name}\``,
      calls.map((call) => `\`${call}\``).join(', '),
      valueText(plainest(schema)),
      textOf(schema['description']),
    ]);
  return table(['parameter', 'of', 'value', 'meaning'], rows);
}

/** Drops the text forms of a number and of a flag: every such parameter accepts them. */
function plainest(schema: JsonObject): JsonObject {
  const forms = Array.isArray(schema['anyOf']) ? schema['anyOf'].filter(isObject) : [];
  const kept = forms.find(
    ({ type, minimum }) => type === 'boolean' || (type === 'integer' && minimum !== undefined),
  );
  return kept ?? schema;
}

interface Parameter {
  readonly name: string;
  readonly schema: JsonObject;
  readonly isRequired: boolean;
}

function parametersOf({ params, docs }: Operation): Parameter[] {
  const { properties, required } = inputSchema(params, docs);
  if (!isObject(properties)) return [];
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    schema: schema as JsonObject,
    isRequired: Array.isArray(required) && required.includes(name),
  }));
}

const callOf = ({ module, method }: Operation): string => `${module}/${method}`;

/** The table of all paths but those of built-in modules, which have their own table. */
function pathTable(): string {
  const { paths } = openApiDocument({
    isEnabled: () => true,
    guards: () => true,
    hasOthers: true,
    hasIdentity: true,
    isAnyGuarded: true,
  }) as { paths: Readonly<Record<string, Readonly<Record<string, JsonObject>>>> };
  const own = new Set(operations.map((operation) => `/${callOf(operation)}`));
  const rows = Object.entries(paths)
    .filter(([path]) => !own.has(path))
    .flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => {
        const { summary, security, responses } = operation;
        const failing = Object.keys(responses as JsonObject).filter((status) => status !== '200');
        return [`\`${method.toUpperCase()} ${path}\``, textOf(summary), keyText(security), statuses(failing)];
      }),
    );
  return table(['path', 'what it is for', 'access key', 'may fail with'], rows);
}

/** Describes `security` of an operation: a list of alternatives, of which an empty one needs no key. */
function keyText(security: unknown): string {
  const ways = Array.isArray(security) ? security.filter(isObject) : [];
  if (ways.length === 0) return 'none';
  const isOpen = ways.some((way) => Object.keys(way).length === 0);
  return isOpen ? 'where there is one' : 'where the configuration has one';
}
