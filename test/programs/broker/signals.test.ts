import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { launchers, startBroker } from '../../support/programs/programs.ts';
import { waitFor } from '../../support/wait.ts';
import { connectTo, skipOf } from '../support.ts';

type Document = Record<string, Record<string, unknown>>;
const read = (file: string): Document => JSON.parse(readFileSync(file, 'utf8')) as Document;

describe('signals that come again', () => {
  for (const launcher of launchers) {
    it(`change nothing about a clean stop on ${launcher.name}`, { skip: skipOf(launcher) }, async () => {
      const broker = await startBroker(launcher);
      const client = await connectTo(broker);
      await client.replace('foo', 'bar');
      for (const signal of ['SIGTERM', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const)
        process.kill(broker.pid, signal);
      assert.deepEqual(await broker.stop(), { code: 0, signal: undefined }, broker.stderr());
      assert.equal((read(broker.configFile)['services']?.['foo'] as Document | undefined)?.['_str'], 'bar');
    });
  }
});

describe('a signal ends the broker at once, whatever waits for it, and all is in its file', () => {
  for (const launcher of launchers) {
    it(`on ${launcher.name}`, { skip: skipOf(launcher) }, async (t) => {
      const broker = await startBroker(launcher);
      const client = await connectTo(broker);
      const over = new AbortController();
      t.after(() => over.abort());
      const ended = [client.waitFor('never', { signal: over.signal }).catch(() => 'given up')];
      const changes: string[] = [];
      const watching = async (): Promise<string> => {
        for await (const change of client.watch({ prefix: '', signal: over.signal }))
          changes.push(change.type === 'reset' ? '' : change.name);
        return 'given up';
      };
      ended.push(watching());
      await waitFor('the watch to be open', async () => {
        await client.replace('foo', 'bar');
        return changes.length > 0;
      });
      const began = performance.now();
      const signal = launcher.name === 'node24' ? 'SIGTERM' : 'SIGINT';
      assert.deepEqual(await broker.stop(signal), { code: 0, signal: undefined }, broker.stderr());
      assert.ok(performance.now() - began < 4000, 'it did not wait for them');
      // A running backup may be reported after it.
      assert.match(broker.stderr(), new RegExp(` info stopping signal=${signal}$`, 'm'));
      assert.deepEqual(
        readdirSync(broker.dir).filter((name) => /\.lock|\.tmp/.test(name)),
        [],
      );
      assert.equal((read(broker.configFile)['services']?.['foo'] as Document | undefined)?.['_str'], 'bar');
      over.abort();
      assert.deepEqual(await Promise.all(ended), ['given up', 'given up']);
    });
  }
});
