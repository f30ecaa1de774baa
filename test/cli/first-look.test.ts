import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startResponder } from '../../src/broker/discovery/responder.ts';
import { takeFirstLook } from '../../src/cli/session/first-look.ts';
import { discover } from '../../src/client/discovery/finder.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import { atEnd } from '../support/cleanup.ts';
import { freePort } from '../support/network/free-port.ts';

/**
 * Whether a search says that an entry was made meanwhile. Its broker starts when the search has gone on for a
 * while, and does not have the entry the first times that it is asked, or for some milliseconds.
 */
async function wasMade(timesWithout: number, others = 0, msWithout = 0): Promise<boolean> {
  const port = await freePort();
  const start = async (listenIp: string, has: () => boolean): Promise<void> => {
    const answer = (): Promise<boolean> => Promise.resolve(has());
    const responder = await startResponder({ listenIp, port, has: answer, log: silentLogger });
    atEnd(() => responder.close());
  };
  for (let host = 2; host < 2 + others; host++) await start(`127.0.0.${host}`, () => false);
  const look = takeFirstLook();
  const found = discover({
    name: 'foo',
    port,
    interfaces: ['lo'],
    timeoutMs: 60_000,
    onReply: ({ address }, _isHolder, round) => look.holderAnswered(address, round),
    onAnyBroker: ({ address }, round) => look.brokerAnswered(address, round),
  });
  // Questions are a second apart by now.
  await sleep(1200);
  let asked = 0;
  const since = performance.now();
  await start('127.0.0.1', () => asked++ >= timesWithout && performance.now() - since >= msWithout);
  assert.equal((await found).length, 1);
  return look.wasMade();
}

describe('the first look of a watch', { concurrency: true }, () => {
  it('takes an entry of a broker that starts later for an old one', async () => {
    assert.equal(await wasMade(0), false);
  });

  it('does so too when the first answer about the entry is lost', async () => {
    assert.equal(await wasMade(1), false);
  });

  it('does so among many brokers, whose answers come at once', async () => {
    assert.equal(await wasMade(1, 12), false);
  });

  it('sees the making also after many brokers have answered', async () => {
    assert.equal(await wasMade(0, 12, 1500), true);
  });

  it('sees the making of an entry after its broker has answered', async () => {
    assert.equal(await wasMade(16), true);
  });
});

describe('takeFirstLook()', () => {
  it('goes by the broker that has the entry, and not by another one', () => {
    const look = takeFirstLook();
    look.brokerAnswered('10.0.0.1:20443', 1);
    look.brokerAnswered('10.0.0.2:20443', 20);
    look.holderAnswered('10.0.0.2:20443', 20);
    assert.equal(look.wasMade(), false);
  });

  it('goes by the first holder: after a lost connection the entry is an old one', () => {
    const look = takeFirstLook();
    look.brokerAnswered('10.0.0.1:20443', 1);
    look.holderAnswered('10.0.0.1:20443', 1);
    look.holderAnswered('10.0.0.1:20443', 30);
    assert.equal(look.wasMade(), false);
  });
});
