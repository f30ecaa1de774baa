import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isUrl } from '../../src/protocol/addresses/address.ts';
import { parseBrokerUrl } from '../../src/protocol/addresses/broker-url.ts';

describe('parseBrokerUrl()', () => {
  it('reads a URL in any spelling, and returns it in one', () => {
    const texts: [string, ...unknown[]][] = [
      ['https://broker.test', 'https://broker.test', 'broker.test', 443, '', 'broker.test'],
      ['https://broker.test/', 'https://broker.test', 'broker.test', 443, '', 'broker.test'],
      ['HTTPS://Broker.Test:443/a/b//', 'https://broker.test/a/b', 'broker.test', 443, '/a/b', 'broker.test'],
      ['https://[::1]:8443/a', 'https://[::1]:8443/a', '::1', 8443, '/a', '[::1]:8443'],
      ['https://10.0.0.1:20443', 'https://10.0.0.1:20443', '10.0.0.1', 20_443, '', '10.0.0.1:20443'],
      ['https://h/a b/ü', 'https://h/a%20b/%C3%BC', 'h', 443, '/a%20b/%C3%BC', 'h'],
      ['https://h/a/../b', 'https://h/b', 'h', 443, '/b', 'h'],
    ];
    for (const [text, ...expected] of texts) {
      const { href, host, port, prefix, authority } = parseBrokerUrl(text, 'URL');
      assert.deepEqual([href, host, port, prefix, authority], expected, text);
    }
  });

  it('repeats nothing of a URL that may hold a password', () => {
    for (const text of [
      'https://u:secret@h',
      'http://u:secret@h',
      'https://u:secret@h:99999',
      'https://secret@',
    ])
      assert.throws(
        () => parseBrokerUrl(text, 'URL'),
        (error: Error) => !error.message.includes('secret') && error.message.startsWith('Invalid URL: '),
        text,
      );
  });
});

describe('isUrl()', () => {
  it('tells URLs from addresses', () => {
    for (const text of ['https://h', 'HTTP://h', 'ftp://h:1/x', 'x+y://'])
      assert.equal(isUrl(text), true, text);
    for (const text of ['h', 'h:1', '[::1]:1', '::1', 'https', 'https:h', '//h', ''])
      assert.equal(isUrl(text), false, text);
  });
});
