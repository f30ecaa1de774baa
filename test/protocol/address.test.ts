import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { canonicalAddress, formatAddress, parseAddress } from '../../src/protocol/addresses/address.ts';

const spellings: Readonly<Record<string, readonly string[]>> = {
  'localhost:20443': ['localhost', 'LOCALHOST', 'LocalHost.', 'localhost:20443'],
  'host.example:1': ['host.example:1', 'Host.Example.:1', 'HOST.EXAMPLE.:1'],
  '127.0.0.1:5': [
    '127.0.0.1:5',
    '[::ffff:127.0.0.1]:5',
    '[::FFFF:7F00:1]:5',
    '127.1:5',
    '[0:0:0:0:0:ffff:7f00:1]:5',
    '[::ffff:127.0.0.1%eth0]:5',
  ],
  '[::1]:20443': ['::1', '[::1]', '[0:0::1]', '[0000:0000:0000:0000:0000:0000:0000:0001]:20443'],
  '[fe80::1%eth0]:20443': ['fe80::1%eth0', '[FE80::0:1%eth0]'],
  '[fe80::1%wg+x@if2]:20443': ['fe80::1%wg+x@if2', '[FE80::1%wg+x@if2]'],
  'not_in_urls:20443': ['not_in_urls', 'NOT_IN_URLS.'],
  '256.1.1.1:20443': ['256.1.1.1'],
};

describe('canonicalAddress()', () => {
  for (const [expected, texts] of Object.entries(spellings)) {
    it(`returns ${expected} for each of its spellings`, () => {
      for (const text of texts)
        assert.equal(formatAddress(canonicalAddress(parseAddress(text, 'address'))), expected, text);
    });
  }

  it('keeps apart what differs', () => {
    const texts = [
      'localhost',
      '127.0.0.1',
      '::1',
      'fe80::1%eth0',
      'fe80::1%ETH0',
      'localhost:1',
      'local.host',
    ];
    const all = texts.map((text) => formatAddress(canonicalAddress(parseAddress(text, 'address'))));
    assert.equal(new Set(all).size, texts.length);
  });
});
