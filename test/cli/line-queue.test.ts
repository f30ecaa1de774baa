import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLineQueue } from '../../src/cli/terminal/line-queue.ts';

type Done = (isWritten: boolean) => void;

/** A reader that takes lines when the test lets it. */
function sleepingReader(): {
  send: (bytes: Uint8Array, done: Done) => void;
  got: string[];
  read(): boolean;
} {
  const got: string[] = [];
  let waiting: (() => void) | undefined;
  return {
    got,
    send(bytes, done) {
      waiting = () => {
        got.push(Buffer.from(bytes).toString());
        done(true);
      };
    },
    read() {
      const take = waiting;
      waiting = undefined;
      take?.();
      return take !== undefined;
    },
  };
}

describe('lines on their way to standard error', () => {
  it('wait within a bound; what is beyond it is dropped, and counted at its place', async () => {
    const reader = sleepingReader();
    const queue = createLineQueue(reader.send, { bytes: 40 });
    for (let i = 0; i < 10; i++) queue.write(`line ${i}\n`);
    while (reader.read());
    queue.write('later\n');
    while (reader.read());
    const kept = [0, 1, 2, 3, 4].map((i) => `line ${i}\n`);
    assert.deepEqual(reader.got, [...kept, '5 lines were lost\n', 'later\n']);
    assert.equal(queue.lost, 5);
    await queue.flush();
  });

  it('that cannot be written are counted too, and nothing is thrown', async () => {
    const got: string[] = [];
    let isFull = true;
    const queue = createLineQueue((bytes, done) => {
      if (!isFull) got.push(Buffer.from(bytes).toString());
      done(!isFull);
    });
    for (let i = 0; i < 1000; i++) queue.write('x\n');
    isFull = false;
    queue.write('there is room\n');
    assert.deepEqual(got, ['1000 lines were lost\n', 'there is room\n']);
    assert.equal(queue.lost, 1000, 'each line once, and not those that were to tell of them');
    await queue.flush();
  });

  it(
    'are waited for at the end as long as somebody reads, and not for ever',
    { timeout: 10_000 },
    async () => {
      const reader = sleepingReader();
      const queue = createLineQueue(reader.send, { idleMs: 5000, flushMs: 60_000 });
      for (let i = 0; i < 5; i++) queue.write(`${i}\n`);
      const timer = setInterval(() => reader.read(), 20);
      await queue.flush();
      clearInterval(timer);
      assert.equal(reader.got.length, 5);
      const stuck = createLineQueue(() => undefined, { idleMs: 50, flushMs: 60_000 });
      stuck.write('x\n');
      await stuck.flush();
      // And one that takes its time for each line is not waited for longer than the limit of all.
      const slow = createLineQueue((_, done) => void setTimeout(done, 30, true), {
        idleMs: 1000,
        flushMs: 100,
      });
      for (let i = 0; i < 10_000; i++) slow.write('x\n');
      await slow.flush();
    },
  );

  it('may be as long as they like where nothing waits', () => {
    const got: number[] = [];
    const queue = createLineQueue(
      (bytes, done) => {
        got.push(bytes.byteLength);
        done(true);
      },
      { bytes: 10 },
    );
    queue.write('x'.repeat(100_000));
    assert.deepEqual(got, [100_000]);
  });
});
