import type { Json, JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { spacedJson } from '../../protocol/registry/entry.ts';
import type { Arguments } from '../command.ts';
import { writeData } from './data-output.ts';

/** A command's result, prepared for every output format. */
export interface Result {
  /** The output of `text`: one line for each. */
  readonly text: readonly string[];
  /** The output of `json`. */
  readonly json: Json;
  /** The output of `csv` and `env`, from which `--cols` chooses. */
  readonly rows: readonly JsonObject[];
  /** The columns of `rows`, where they are the same whatever the rows are: the header of an empty table. */
  readonly columns?: readonly string[];
  /**
   * For each row, columns that are printed only if `--cols` names them. A column of the row itself comes
   * first.
   */
  readonly more?: readonly JsonObject[];
  /** The variables of `env`, if they are more than the first row's columns. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Prints a result on standard output in the form that `--format` and `--cols` ask for. */
export async function print(result: Result, args: Arguments): Promise<void> {
  const lines = render(result, args.text('format') ?? 'text', columnsOf(args));
  if (lines.length > 0) await writeData(`${lines.join('\n')}\n`);
}

/** The columns that `--cols` names. */
export function columnsOf(args: Arguments): readonly string[] | undefined {
  return args.text('cols')?.split(',').filter(Boolean);
}

/** Prints the broker's whole answer. */
export async function printRaw(envelope: Json | undefined): Promise<void> {
  await writeData(`${spacedJson(envelope)}\n`);
}

/** The lines of a result. Throws `not_found` for a column that no row has. */
export function render(given: Result, format: string, cols: readonly string[] | undefined): string[] {
  if (format === 'text' && !cols) return [...given.text];
  const result = cols ? withMore(given) : given;
  const { rows, columns: fixed = [] } = result;
  const columns = cols ?? (rows.length > 0 ? namesIn(rows) : fixed);
  checkColumns(columns, given, rows);
  switch (format) {
    case 'json':
      return [spacedJson(cols ? selectJson(result, cols) : result.json)];
    case 'csv':
      if (columns.length === 0) return [];
      return [columns.map(csvField).join(','), ...csvLines(rows, columns)];
    case 'csv-noheader':
      return csvLines(rows, columns);
    case 'env':
      return envLines(result, cols);
    default:
      return rows.map((row) => columns.map((col) => tsvField(row[col])).join('\t'));
  }
}

function withMore(result: Result): Result {
  const { more = [] } = result;
  return { ...result, rows: result.rows.map((row, index) => ({ ...more[index], ...row })) };
}

function namesIn(rows: readonly JsonObject[]): string[] {
  return [...new Set(rows.flatMap((row) => Object.keys(row)))];
}

function checkColumns(columns: readonly string[], given: Result, rows: readonly JsonObject[]): void {
  if (rows.length === 0) return;
  const known = new Set(namesIn(rows));
  const unknown = columns.find((column) => !known.has(column));
  if (unknown === undefined) return;
  const names = [...new Set([...namesIn(given.rows), ...namesIn(given.more ?? [])])];
  throw new BrokerError('not_found', `No column '${unknown}'; there are ${names.join(', ')}`);
}

function selectJson({ json, rows }: Result, cols: readonly string[]): Json {
  const selected = rows.map((row) => Object.fromEntries(cols.map((col) => [col, row[col] ?? null])));
  return Array.isArray(json) ? selected : (selected[0] ?? null);
}

/** One line of CSV (RFC 4180). */
function csvLines(rows: readonly JsonObject[], columns: readonly string[]): string[] {
  return rows.map((row) => columns.map((column) => csvField(plain(row[column]))).join(','));
}

function csvField(value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

function tsvField(value: Json | undefined): string {
  return plain(value).replaceAll(/[\t\r\n]/g, ' ');
}

/**
 * Assignments for a POSIX shell to `eval`. The names are in upper case after `BPB_`: a writer of the entry
 * must not be able to set PATH in the script that reads it.
 * @throws BrokerError `usage` when two columns would become one variable, and for a column without a name: a
 * script would read a wrong value.
 */
function envLines({ rows, env }: Result, cols: readonly string[] | undefined): string[] {
  if (env && !cols) return Object.entries(env).map(([name, value]) => `${name}=${shellQuote(value)}`);
  if (rows.length > 1)
    throw new BrokerError('usage', 'Format env is for a single result; this one has several rows');
  const [row = {}] = rows;
  const variables = new Map<string, string>();
  for (const column of new Set(cols ?? Object.keys(row))) {
    const variable = variableOf(column);
    const other = variables.get(variable);
    if (other !== undefined)
      throw new BrokerError(
        'usage',
        `Format env cannot print the columns '${other}' and '${column}': both would be the variable ${variable}; choose one of them with --cols`,
      );
    variables.set(variable, column);
  }
  return [...variables].map(([variable, column]) => `${variable}=${shellQuote(plain(row[column]))}`);
}

function variableOf(column: string): string {
  if (column === '')
    throw new BrokerError(
      'usage',
      `Format env cannot print the column '': its variable would have no name; choose other columns with --cols`,
    );
  return `BPB_${column.toUpperCase().replaceAll(/[^A-Z0-9_]/g, '_')}`;
}

function shellQuote(value: string): string {
  return `'${value.replaceAll("'", String.raw`'\''`)}'`;
}

/** A value as text: a string as it is, `undefined` as the empty string, anything else as JSON. */
function plain(value: Json | undefined): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : spacedJson(value);
}
