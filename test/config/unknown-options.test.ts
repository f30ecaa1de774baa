import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { unknownOptions } from '../../src/config/unknown-options.ts';

const warning = (given: string, meant: string): string =>
  `the option '${given}' is none of the broker's, which does not heed it; did you mean '${meant}'?`;

describe('unknownOptions() of a module', () => {
  it('names each key that is nearly one of the broker', () => {
    assert.deepEqual(
      unknownOptions({
        hello: { _timeout_sec: 5, _acces_key: 'x', _queue: 3 },
        services: { _access_kye: 'x' },
        discover: { _access_keys: 'x' },
      }),
      [
        warning('hello._timeout_sec', 'hello._timeout_secs'),
        warning('hello._acces_key', 'hello._access_key'),
        warning('services._access_kye', 'services._access_key'),
        warning('discover._access_keys', 'discover._access_key'),
      ],
    );
  });

  it("leaves a module's own keys alone", () => {
    assert.deepEqual(
      unknownOptions({ hello: { timeout_sec: 5, _sender: 'x', _queue_name: 'x' }, worker: { _queues: 1 } }),
      [],
    );
  });
});
