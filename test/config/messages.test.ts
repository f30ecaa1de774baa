import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkConfig, defaults } from '../../src/config/schema.ts';
import { readLimits } from '../../src/extensions/limits.ts';
import type { Json, JsonObject } from '../../src/protocol/formats/data.ts';

const api = (option: string, value: Json): JsonObject => ({ api: { ...defaults.api, [option]: value } });

const cases: readonly (readonly [JsonObject, string])[] = [
  [api('listen_port', 'x'), 'option api.listen_port: expected a number, got "x"'],
  [api('listen_port', 70_000), 'option api.listen_port: expected at most 65535, got 70000'],
  [api('listen_port', -1), 'option api.listen_port: expected at least 0, got -1'],
  [api('listen_port', 1.5), 'option api.listen_port: expected a whole number, got 1.5'],
  [api('listen_port', [1]), 'option api.listen_port: expected a number, got a list'],
  [api('ssl_cert', 5), 'option api.ssl_cert: expected a text, got 5'],
  [{ api: { listen_port: 1 } }, 'option api.listen_ip: it is missing'],
  [{ api: [] }, 'option api: expected an object, got an array'],
  [{ hello: 'a key' }, 'option hello: expected an object, got a string'],
  [
    { _global: { healthcheck_freq_sec: 0 } },
    'option _global.healthcheck_freq_sec: expected a number above 0, got 0',
  ],
  [
    { _global: { healthcheck_freq_sec: 1, log_level: 'loud' } },
    'option _global.log_level: expected error, warn, info or debug, got "loud"',
  ],
  [{ _audit: { to: 'log', data: 1 } }, 'option _audit.data: expected true or false, got 1'],
  [{ _audit: { to: 'syslog' } }, "option _audit.to: expected 'file' or 'log'"],
];

describe('a wrong value in the configuration', () => {
  for (const [options, problem] of cases)
    it(`is named with what would be right: ${problem}`, () => {
      assert.throws(() => checkConfig({ ...defaults, ...options }, 'b.json'), {
        message: `b.json: ${problem}`,
      });
    });

  it('of an extension is named in the same words', () => {
    assert.throws(() => readLimits('hello', { _timeout_secs: 0 }), {
      message: 'hello._timeout_secs: expected a number above 0, got 0',
    });
  });
});
