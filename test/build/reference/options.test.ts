import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { valueText } from '../../../build/reference/value.ts';
import { root } from '../../../build/root.ts';
import { inputSchema } from '../../../src/api/openapi/schemas.ts';
import { openLiveConfiguration } from '../../../src/broker/opening/live-configuration.ts';
import { type OptionDoc, moduleOptionDocs, optionDocs } from '../../../src/config/option-docs.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { unknownOptions } from '../../../src/config/unknown-options.ts';
import { limitOptions } from '../../../src/extensions/limits.ts';
import { isObject, type JsonObject, mergeData } from '../../../src/protocol/formats/data.ts';
import { silentLogger } from '../../../src/protocol/logger.ts';
import { tempDir } from '../../support/temp.ts';

const keysOf = (schema: unknown): string[] =>
  isObject(schema) && isObject(schema['properties']) ? Object.keys(schema['properties']).toSorted() : [];

describe('what the reference says of options', () => {
  const { properties, additionalProperties } = inputSchema(configSchema);
  const sections = properties as JsonObject;

  it('has every option that the schemas check, and no other', () => {
    const { _metrics, ...checked } = optionDocs;
    assert.deepEqual(Object.keys(sections).toSorted(), Object.keys(checked).toSorted());
    for (const [section, notes] of Object.entries(checked))
      assert.deepEqual(keysOf(sections[section]), Object.keys(notes).toSorted(), section);
    for (const notes of [_metrics, moduleOptionDocs.discover])
      assert.deepEqual(Object.keys(notes), keysOf(additionalProperties));
    const { _access_key, _python, ...limits } = moduleOptionDocs.MODULE;
    assert.deepEqual(Object.keys(limits).toSorted(), keysOf(inputSchema(limitOptions)));
  });

  it('is why an option counts as known', () => {
    const known = Object.entries(optionDocs).map(([section, notes]) => [
      section,
      Object.fromEntries(Object.keys(notes).map((key) => [key, 'x'])),
    ]);
    const options = Object.fromEntries(known) as JsonObject;
    assert.deepEqual(
      unknownOptions(mergeData(options, { _store: { driver: 'etcd' }, _audit: { to: 'file' } })),
      [],
    );
    assert.equal(unknownOptions({ api: { listen_prot: 1 } }).length, 1);
  });

  it('is a phrase without a full stop', () => {
    for (const notes of [...Object.values(optionDocs), ...Object.values(moduleOptionDocs)] as Record<
      string,
      OptionDoc
    >[])
      for (const [key, { description }] of Object.entries(notes))
        assert.match(description, /^[A-Z].{10,}[^.]$/, key);
  });
});

/** Another value for each option than the one that the file begins with, and what that value needs beside it. */
const changes: Readonly<Record<string, JsonObject>> = {
  'api.listen_port': { api: { listen_port: 20_444 } },
  'api.listen_ip': { api: { listen_ip: '127.0.0.1' } },
  'api.ssl_cert': { api: { ssl_cert: 'other.crt' } },
  'api.ssl_key': { api: { ssl_key: 'other.key' } },
  '_global.healthcheck_freq_sec': { _global: { healthcheck_freq_sec: 11 } },
  '_global.log_level': { _global: { log_level: 'debug' } },
  '_config.backup_freq_secs': { _config: { backup_freq_secs: 1 } },
  '_config.backup_retain_n': { _config: { backup_retain_n: 1 } },
  '_store.driver': { _store: { driver: 'file' } },
  '_store.max_bytes': { _store: { max_bytes: 1000 } },
  '_store.endpoints': { _store: { endpoints: ['http://10.0.0.2:2379'] } },
  '_store.prefix': { _store: { prefix: '/other/' } },
  '_store.username': { _store: { username: 'other' } },
  '_store.password': { _store: { password: 'other' } },
  '_store.ca': { _store: { ca: 'other.pem' } },
  '_store.cert': { _store: { cert: 'other.pem' } },
  '_store.key': { _store: { key: 'other.pem' } },
  '_audit.to': { _audit: { to: 'log' } },
  '_audit.file': { _audit: { file: 'other.jsonl' } },
  '_audit.max_bytes': { _audit: { max_bytes: 5000 } },
  '_audit.keep': { _audit: { keep: 1 } },
  '_audit.data': { _audit: { data: true } },
  '_audit.required': { _audit: { required: true } },
  '_metrics._access_key': { _metrics: { _access_key: 'other' } },
  'discover._access_key': { discover: { _access_key: '0123456789abcdef0123456789abcdef' } },
  'MODULE._access_key': { ossec: { _access_key: 'other' } },
  'MODULE._timeout_secs': { ossec: { _timeout_secs: 1 } },
  'MODULE._concurrency': { ossec: { _concurrency: 1 } },
  'MODULE._queue': { ossec: { _queue: 1 } },
  'MODULE._memory_mb': { ossec: { _memory_mb: 1 } },
  'MODULE._output_mb': { ossec: { _output_mb: 1 } },
  'MODULE._python': { ossec: { _python: 'other' } },
};
const beginning: JsonObject = {
  api: { ssl_cert: 'a.crt', ssl_key: 'a.key' },
  ossec: {},
  _store: {
    driver: 'etcd',
    endpoints: ['http://10.0.0.1:2379'],
    username: 'one',
    password: 'one',
    cert: 'one.pem',
    key: 'one.pem',
  },
  _audit: { to: 'file' },
};

describe('an option', () => {
  const noted = Object.entries({ ...optionDocs, ...moduleOptionDocs }).flatMap(([section, notes]) =>
    Object.entries(notes as Record<string, OptionDoc>).map(
      ([key, note]) => [`${section}.${key}`, note] as const,
    ),
  );

  it('has another value in this test, whatever it is', () => {
    assert.deepEqual(Object.keys(changes).toSorted(), noted.map(([name]) => name).toSorted());
  });

  for (const [name, { needsRestart = false }] of noted)
    it(`counts after a ${needsRestart ? 'restart' : 'reload'}, as the reference says: ${name}`, async () => {
      const file = path.join(tempDir(), 'bpbroker.json');
      writeFileSync(file, JSON.stringify(beginning));
      const live = await openLiveConfiguration({ file, options: undefined, log: silentLogger });
      const before = live.effective;
      writeFileSync(file, JSON.stringify(mergeData(beginning, changes[name] ?? {})));
      const { needRestart } = await live.reload(async () => undefined);
      const [section = ''] = name.split('.');
      const isNamed = needRestart.includes(name) || needRestart.includes(section);
      assert.equal(isNamed, needsRestart);
      assert.equal(JSON.stringify(live.effective) !== JSON.stringify(before), !needsRestart);
    });
});

describe('the limits in docs/extensions.md', () => {
  it('have the defaults that the schema has', () => {
    const page = readFileSync(path.join(root, 'docs', 'extensions.md'), 'utf8');
    const said = [...page.matchAll(/^\| `(_\w+)` +\| (\d+) /gm)].map(([, key = '', value]) => [
      key,
      Number(value),
    ]);
    const { properties } = inputSchema(limitOptions) as { properties: Record<string, JsonObject> };
    assert.deepEqual(
      said,
      Object.entries(properties).map(([key, schema]) => [key, schema['default']]),
    );
  });
});

describe('valueText()', () => {
  const cases: readonly (readonly [schema: JsonObject, unit: string | undefined, text: string])[] = [
    [{ enum: ['a', 'b', 'c'] }, undefined, '`a`, `b` or `c`'],
    [{ type: 'integer', minimum: 0, maximum: 65_535 }, undefined, 'whole number from 0 to 65535'],
    [{ type: 'integer', minimum: 1 }, 'bytes', 'whole number of bytes, at least 1'],
    [{ type: 'number', exclusiveMinimum: 0 }, 'seconds', 'seconds, above 0'],
    [{ type: 'number', exclusiveMinimum: 0, maximum: 9 }, undefined, 'number, above 0, at most 9'],
    [{ type: 'boolean' }, undefined, '`true` or `false`'],
    [{ type: 'string', minLength: 1 }, undefined, 'text, not empty'],
    [{ type: 'string', minLength: 1, maxLength: 9 }, undefined, 'text of 1 to 9 characters'],
    [
      { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
      undefined,
      'text, or list of texts',
    ],
  ];
  for (const [schema, unit, text] of cases)
    it(`says ${text}`, () => {
      assert.equal(valueText(schema, unit), text);
    });

  it('refuses what it has no words for', () => {
    assert.throws(() => valueText({ type: 'null' }), /no words for the type "null"/);
  });
});
