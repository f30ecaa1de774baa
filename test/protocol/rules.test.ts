import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { formatAddress, parseAddress, plainAddress } from '../../src/protocol/addresses/address.ts';
import { parseDuration } from '../../src/protocol/formats/duration.ts';
import { spacedJson, stamp, unstamp, visibleData } from '../../src/protocol/registry/entry.ts';
import { BrokerError, codeForStatus, errorCodes, messageOf } from '../../src/protocol/errors.ts';
import { checkName, compareNames, MAX_NAME_BYTES } from '../../src/protocol/registry/names.ts';
import { VERSION } from '../../src/protocol/version.ts';

describe('names', () => {
  it('may be 1 to 512 bytes of UTF-8', () => {
    for (const name of [
      'a',
      'foo-cluster1',
      'ünïcødé',
      '日本',
      'with space',
      'a/b',
      '😀',
      'x'.repeat(MAX_NAME_BYTES),
    ])
      checkName(name);
    assert.throws(() => checkName(''), { code: 'invalid_request', message: /must not be empty/ });
    assert.throws(() => checkName('x'.repeat(513)), {
      code: 'invalid_request',
      message: /512 bytes, this one has 513/,
    });
    assert.throws(() => checkName('é'.repeat(257)), { code: 'invalid_request', message: /514/ });
  });

  it('must hold no control characters and must not start with _', () => {
    for (const name of ['a\nb', 'a\rb', '\u001b[31m', 'a\u0000', 'a\u007f', 'a\u0085']) {
      assert.throws(() => checkName(name), { code: 'invalid_request', message: /control character/ });
    }
    assert.throws(() => checkName('_access_key'), { code: 'invalid_request', message: /reserved/ });
    assert.throws(() => checkName('\ud800'), { code: 'invalid_request', message: /not valid Unicode/ });
  });

  it('are ordered by their bytes', () => {
    const names = ['b', 'a', 'ab', '\u{10000}', '\uffff', 'é', 'A', ''];
    const byBytes = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual(names.toSorted(compareNames), byBytes);
  });
});

describe('durations', () => {
  it('take ms, s, m, h and d; a bare number counts seconds', () => {
    const cases = { '500ms': 500, '3s': 3000, '1.5m': 90_000, '2h': 7_200_000, '1d': 86_400_000, '7': 7000 };
    for (const [text, ms] of Object.entries(cases)) assert.equal(parseDuration(text, '--timeout'), ms);
  });

  it('name the option and the value that is wrong', () => {
    for (const text of ['', 'soon', '-1s', '3 s', '1w', '1e3s', '99999999h']) {
      assert.throws(() => parseDuration(text, '--timeout'), {
        code: 'usage',
        message: /Invalid --timeout '/,
      });
    }
  });
});

describe('addresses', () => {
  it('are HOST, HOST:PORT or bracketed IPv6, with 20443 as the port', () => {
    const cases: Record<string, { host: string; port: number }> = {
      'broker.example': { host: 'broker.example', port: 20443 },
      '10.0.0.1:9000': { host: '10.0.0.1', port: 9000 },
      '[::1]': { host: '::1', port: 20443 },
      '[fe80::1%eth0]:9000': { host: 'fe80::1%eth0', port: 9000 },
      '::1': { host: '::1', port: 20443 },
    };
    for (const [text, address] of Object.entries(cases))
      assert.deepEqual(parseAddress(text, '--bpbroker'), address);
    assert.equal(formatAddress({ host: '::1', port: 1 }), '[::1]:1');
  });

  it('of any other form are refused by name', () => {
    for (const text of ['', 'a b', 'host:', 'host:0', 'host:70000', 'https://host', '[::1', 'user@host']) {
      assert.throws(
        () => parseAddress(text, '--bpbroker'),
        { code: 'usage', message: /Invalid --bpbroker/ },
        text,
      );
    }
  });

  it('mapped into IPv6 are plain IPv4', () => {
    assert.equal(plainAddress('::ffff:127.0.0.1'), '127.0.0.1');
    assert.equal(plainAddress('::1'), '::1');
  });
});

describe('entries', () => {
  const entry = {
    name: 'foo',
    data: { key: 'special data' },
    lastWriteTs: 1420068290,
    lastWriteIp: '127.0.0.1',
    revision: 1,
  };

  it('travel led by their stamps, in the form of the original', () => {
    assert.equal(
      spacedJson(stamp(entry)),
      '{"last_write_ts": 1420068290, "last_write_ip": "127.0.0.1", "key": "special data"}',
    );
  });

  it('come back from their stamped form unchanged', () => {
    assert.deepEqual(unstamp(stamp(entry)), {
      data: entry.data,
      lastWriteTs: 1420068290,
      lastWriteIp: '127.0.0.1',
    });
    assert.deepEqual(unstamp({ a: 1 }), { data: { a: 1 }, lastWriteTs: 0, lastWriteIp: '' });
  });

  it('show a string as itself', () => {
    assert.equal(visibleData({ _str: 'bar', last_write_ts: 1, last_write_ip: 'x' }), 'bar');
  });

  it('are printed with a space after colon and comma, strings escaped as JSON', () => {
    assert.equal(
      spacedJson({ a: [1, { b: null }], 'c"d': 'e\nf' }),
      String.raw`{"a": [1, {"b": null}], "c\"d": "e\nf"}`,
    );
    assert.equal(spacedJson({}), '{}');
  });
});

describe('errors', () => {
  it('have the exit codes that the contract promises', () => {
    const exits: Record<string, number> = {
      internal: 1,
      usage: 2,
      not_found: 3,
      already_exists: 4,
      revision_conflict: 4,
      access_denied: 5,
      unreachable: 6,
      ambiguous_broker: 7,
      identity_mismatch: 8,
      timeout: 9,
    };
    for (const [code, exit] of Object.entries(exits)) {
      assert.equal(new BrokerError(code as (typeof errorCodes)[number], '').exitCode, exit, code);
    }
  });

  it('answer with the statuses that the contract declares', () => {
    const declared = new Set([400, 401, 403, 404, 409, 413, 429, 500, 503, 507]);
    for (const code of errorCodes) {
      const { status, exitCode } = new BrokerError(code, '');
      if (exitCode <= 5) assert.ok(declared.has(status), `${code}: ${status}`);
    }
  });

  it('are found by the status of an answer that names none', () => {
    assert.equal(codeForStatus(401), 'access_denied');
    assert.equal(codeForStatus(404), 'not_found');
    assert.equal(codeForStatus(418), 'internal');
  });

  it('are reported on one line', () => {
    assert.equal(messageOf(new Error('a\n  b\r\nc ')), 'a b c');
    assert.equal(messageOf('text'), 'text');
    assert.equal(messageOf('a\u001b[2J\u009b31m\u0000'), String.raw`a\u001b[2J\u009b31m\u0000`);
  });
});

it('VERSION is that of package.json', () => {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  assert.equal(VERSION, manifest.version);
});
