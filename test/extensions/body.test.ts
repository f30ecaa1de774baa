import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBody } from '../../src/extensions/body.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import { waitFor } from '../support/wait.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('the body of an answer', () => {
  it('that fails returns what had come before its error', async () => {
    const body = createBody({ onRoom() {}, onAbandoned: () => assert.fail('nobody has gone') });
    body.push(bytes('half '));
    body.push(bytes('of it'));
    body.fail(new BrokerError('extension_failed', 'The disk is full'));
    let read = '';
    const reading = (async () => {
      for await (const part of body.parts) read += new TextDecoder().decode(part);
    })();
    await assert.rejects(reading, { message: 'The disk is full' });
    assert.equal(read, 'half of it');
  });

  it('that ends while it is full says that there is room: more of its source is for others', async () => {
    for (const end of ['end', 'fail'] as const) {
      let room = 0;
      const body = createBody({ onRoom: () => (room += 1), onAbandoned() {} });
      let size = 0;
      for (let more = true; more; size += 65_536) more = body.push(new Uint8Array(65_536));
      assert.equal(room, 0);
      if (end === 'end') body.end();
      else body.fail(new BrokerError('extension_failed', 'no more'));
      assert.ok(room > 0, end);
      let read = 0;
      const reading = (async () => {
        for await (const part of body.parts) read += part.byteLength;
      })();
      await (end === 'end' ? reading : assert.rejects(reading, { message: 'no more' }));
      assert.equal(read, size);
    }
  });

  it('tells that its reader has gone, also one that has read nothing', async () => {
    for (const reads of [0, 1]) {
      let gone = false;
      const body = createBody({
        onRoom() {},
        onAbandoned() {
          gone = true;
        },
      });
      body.push(bytes('x'));
      const parts = body.parts[Symbol.asyncIterator]();
      for (let n = 0; n < reads; n++) await parts.next();
      await parts.return?.();
      await waitFor('the end', () => gone);
      assert.equal(body.push(bytes('y')), true, 'what comes then is let go of');
    }
  });
});
