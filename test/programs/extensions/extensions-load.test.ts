import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BrokerClient } from '../../../src/client/client.ts';
import type { RunningBroker } from '../../support/programs/programs.ts';
import { brokerWith } from './extension-files.ts';
import { connectTo, reference, skipOf } from '../support.ts';

const CALLS = 1000;
const AT_A_TIME = 32;

const files = {
  'script.ts': 'export const Echo = ({ data }: { data: string }): string => `echo ${data}`;\n',
  'python.py': 'def Echo(rh):\n    rh.data = "echo " + rh.qs["data"]\n',
};

/** Runs `call` with each number up to `CALLS`, so many at a time, and returns the calls per second. */
async function drive(call: (n: number) => Promise<void>): Promise<number> {
  const began = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let n = next++; n < CALLS; n = next++) await call(n);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  return CALLS / ((performance.now() - began) / 1000);
}

describe('many calls at a time', { skip: skipOf(reference) }, () => {
  let broker: RunningBroker;
  let client: BrokerClient;

  before(async () => {
    broker = await brokerWith(reference, files);
    client = await connectTo(broker);
  });
  after(() => broker.kill());

  for (const language of ['script', 'python']) {
    it(`loses none of ${CALLS} calls of a warm extension, ${AT_A_TIME} at a time: ${language}`, async (t) => {
      const echo = async (n: number): Promise<void> => {
        assert.equal(await (await client.execute(`${language}.Echo`, { data: `${n}` })).text(), `echo ${n}`);
      };
      await echo(0);
      const pings = await drive(async (n) => assert.equal((await client.ping(`${n}`)).data, `${n}`));
      const calls = await drive(echo);
      t.diagnostic(
        `${Math.round(calls)} calls a second, ${(calls / pings).toFixed(2)} of ${Math.round(pings)} pings`,
      );
    });
  }
});
