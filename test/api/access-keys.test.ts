import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, describe, it } from 'node:test';
import { createAccessKeys } from '../../src/api/access/access-keys.ts';
import { createFailureLimit } from '../../src/api/access/rate-limit.ts';
import { hashAccessKey } from '../../src/config/access-key.ts';
import { mergeLayers } from '../../src/config/layers.ts';
import { networkOf } from '../../src/protocol/addresses/address.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import type { Logger, LogFields } from '../../src/protocol/logger.ts';
import { atEnd } from '../support/cleanup.ts';
import { type Answer, type Asked, openApp } from '../broker/support.ts';

const hashed = 'the key behind a hash';
const config = { guarded: { _access_key: ['old', 'new', hashAccessKey(hashed)] } };
const logged: { message: string; fields: LogFields }[] = [];
const note = (message: string, fields: LogFields = {}): void => void logged.push({ message, fields });
const log: Logger = { debug: note, info: note, warn: note, error: note };

let asked: Asked;
const send: Asked['send'] = (...args) => asked.send(...args);
before(async () => {
  asked = await openApp({ config, modules: { guarded: { call: () => ({ body: '"in"' }) } }, log });
  atEnd(() => asked.broker.close());
});

describe('row "brute force"', () => {
  const withKey = (key: string, from: string): Promise<Answer> =>
    send('/guarded/X', { method: 'POST', headers: { authorization: `Bearer ${key}` } }, from);

  it('answers 429 with Retry-After after 10 wrong keys, to a right one too; other sources are unaffected', async () => {
    for (const key of Array.from({ length: 10 }, (_, i) => `wrong ${i}`))
      assert.equal((await withKey(key, '10.0.0.1')).status, 401);
    for (const key of ['wrong', 'new']) {
      const { status, headers, body } = await withKey(key, '10.0.0.1');
      assert.deepEqual([status, body['code']], [429, 'too_many_requests']);
      const seconds = Number(headers.get('retry-after'));
      assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, String(seconds));
      assert.equal(
        body['message'],
        `Too many wrong access keys came from 10.0.0.1: try again in ${seconds} s`,
      );
    }
    assert.equal((await withKey('new', '10.0.0.2')).status, 200);
    assert.equal((await send('/ping/Ping', {}, '10.0.0.1')).status, 200, 'what needs no key goes on');
  });

  it('counts no missing key, and no right one', async () => {
    for (let i = 0; i < 30; i++) {
      assert.equal((await send('/guarded/X', {}, '10.0.0.3')).status, 401);
      assert.equal((await withKey('old', '10.0.0.3')).status, 200);
    }
  });

  it('is no way around by other addresses of one IPv6 network', async () => {
    for (let i = 0; i < 10; i++) await withKey('wrong', `2001:db8:0:7::${i}`);
    assert.equal((await withKey('new', '2001:db8:0:7:ffff::1')).status, 429);
    assert.equal((await withKey('new', '2001:db8:0:8::1')).status, 200);
  });

  it('says so in the log once for each source, and never the key', async () => {
    logged.length = 0;
    for (let i = 0; i < 15; i++) await withKey('canary-9d', '10.0.0.4');
    assert.equal(logged.filter(({ message }) => message === 'too many wrong access keys').length, 1);
    assert.ok(logged.filter(({ message }) => message !== 'request refused').length <= 11);
    assert.doesNotMatch(JSON.stringify(logged), /canary/);
  });

  it('ends a minute after the first of the ten', () => {
    const limit = createFailureLimit({ perSource: 10, windowMs: 60_000, maxSources: 100 });
    for (let i = 0; i < 10; i++) limit.fail('a', 1000 * i);
    assert.equal(limit.waitMs('a', 9000), 51_000);
    assert.equal(limit.waitMs('a', 59_999), 1);
    assert.equal(limit.waitMs('a', 60_000), 0);
    limit.fail('a', 60_000);
    assert.equal(limit.waitMs('a', 60_000), 1000);
  });

  it('takes bounded memory, however many sources are forged', () => {
    const limit = createFailureLimit({ perSource: 10, windowMs: 60_000, maxSources: 1000 });
    for (let i = 0; i < 200_000; i++) limit.fail(`source ${i}`, i / 1000);
    assert.equal(limit.sources, 1000);
    limit.fail('later', 120_000);
    assert.equal(limit.sources, 1, 'what no longer counts is forgotten');
  });

  it('counts addresses as networks', () => {
    const cases: Record<string, string> = {
      '10.0.0.1': '10.0.0.1',
      '2001:db8::1': '2001:db8:0:0::/64',
      '2001:DB8:0:0:1::': '2001:db8:0:0::/64',
      '2001:0db8:0001::5': '2001:db8:1:0::/64',
      '2001:db8:1:2:3:4:5:6': '2001:db8:1:2::/64',
      '::1': '0:0:0:0::/64',
      '64:ff9b::10.0.0.1': '64:ff9b:0:0::/64',
      'fe80::1%eth0': 'fe80:0:0:0::/64%eth0',
      'fe80::2%eth1': 'fe80:0:0:0::/64%eth1',
      '': '',
    };
    for (const [address, network] of Object.entries(cases)) assert.equal(networkOf(address), network);
  });
});

describe('access keys that are stored hashed', () => {
  it('let the key pass, and not the text of its hash', async () => {
    assert.equal((await send(`/guarded/X/?access_key=${encodeURIComponent(hashed)}`)).status, 200);
    assert.equal((await send(`/guarded/X/?access_key=${hashAccessKey(hashed)}`)).status, 401);
    const digest = createHash('sha256').update(hashed).digest('hex');
    for (const key of [digest, digest.toUpperCase(), `sha256:${digest.toUpperCase()}`])
      assert.equal((await send(`/guarded/X/?access_key=${key}`)).status, 401);
  });

  it('may be in upper case', () => {
    const upper = hashAccessKey('k').toUpperCase();
    createAccessKeys({ m: { _access_key: upper } }).check('m', () => 'k', { clientAddress: '' });
  });

  it('are refused at the start where they are none', () => {
    for (const _access_key of ['sha256:', 'sha256:xyz', ['good', `sha256:${'0'.repeat(63)}`]]) {
      assert.throws(
        () => mergeLayers({ file: { ossec: { _access_key } } }, 'FILE'),
        (error: unknown) =>
          error instanceof BrokerError &&
          error.code === 'invalid_config' &&
          /^FILE: option ossec\._access_key.*expected 64 hex digits/.test(error.message) &&
          !error.message.includes('xyz'),
      );
    }
    mergeLayers({ file: { ossec: { _access_key: [hashAccessKey('x'), 'plain'] } } }, 'FILE');
  });
});
