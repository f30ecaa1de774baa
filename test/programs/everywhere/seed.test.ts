import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import {
  launchers,
  type RunningBroker,
  type RunResult,
  startBroker,
} from '../../support/programs/programs.ts';

/** The examples of the document that the product was asked for with, typed through both programs on every runtime. */
for (const launcher of launchers) {
  for (const program of ['bpbroker', 'bpclient'] as const) {
    const skip = launcher.available === true ? false : launcher.available;
    describe(`the document's examples, ${program} on ${launcher.name}`, { skip }, () => {
      let broker: RunningBroker;
      const type = (...args: string[]): Promise<RunResult> => broker.client(args, { program });
      const prints = async (stdout: string | RegExp, ...args: string[]): Promise<void> => {
        const result = await type(...args);
        assert.equal(result.code, 0, result.stderr);
        if (typeof stdout === 'string') assert.equal(result.stdout, stdout);
        else assert.match(result.stdout, stdout);
      };
      const fails = async (code: number, stderr: string | RegExp, ...args: string[]): Promise<void> => {
        const result = await type(...args);
        assert.equal(result.code, code, result.stderr);
        assert.equal(result.stdout, '');
        if (typeof stderr === 'string') assert.equal(result.stderr, stderr);
        else assert.match(result.stderr, stderr);
      };

      before(async () => {
        broker = await startBroker(launcher);
        // The first contact says so on standard error; the examples come after it.
        assert.match(
          (await type('ping')).stderr,
          /^First contact with the broker at 127\.0\.0\.1:\d+: keeping its identity sha256:/,
        );
      });

      it('ping', async () => {
        await prints('foo\n', 'ping', '--data', 'foo');
      });

      it('ping where no broker runs', async () => {
        const result = await broker.client(['--bpbroker', '127.0.0.1:1', 'ping', '--data', 'foo'], {
          program,
          address: false,
        });
        assert.equal(result.code, 6);
        assert.equal(result.stderr, 'Fatal error: No broker reached at 127.0.0.1:1: connection refused\n');
      });

      it('service register, and again', async () => {
        await prints('bar\n', 'service', 'register', '--name', 'foo', '--data', 'bar');
        await fails(
          4,
          "Fatal error: Entry 'foo' already exists\n",
          'service',
          'register',
          '--name',
          'foo',
          '--data',
          'bar',
        );
      });

      it('service replace, of an entry that exists and of a new one', async () => {
        await prints('bar\n', 'service', 'replace', '--name', 'foo', '--data', 'bar');
        await prints('bar\n', 'service', 'replace', '--name', 'new_key', '--data', 'bar');
      });

      it('service register and update of an object', async () => {
        const stamps = String.raw`"last_write_ts": \d{10}, "last_write_ip": "127\.0\.0\.1"`;
        await prints(
          new RegExp(String.raw`^\{${stamps}, "key": "special data"\}\n$`),
          'service',
          'register',
          '--name',
          'foo3',
          '--data',
          '{"key": "special data"}',
        );
        await prints(
          new RegExp(String.raw`^\{${stamps}, "key": "special data", "new_key": "new data"\}\n$`),
          'service',
          'update',
          '--name',
          'foo3',
          '--data',
          '{"new_key": "new data"}',
        );
      });

      it('service get, of an entry and of none', async () => {
        await prints('bar\n', 'service', 'get', '--name', 'foo');
        await fails(
          3,
          "Fatal error: Entry 'foo_no_exist' not found\n",
          'service',
          'get',
          '--name',
          'foo_no_exist',
        );
      });

      it('service delete, of an entry and of none', async () => {
        await prints('', 'service', 'delete', '--name', 'foo');
        await prints('', 'service', 'delete', '--name', 'foo');
        await fails(3, "Fatal error: Entry 'foo' not found\n", 'service', 'get', '--name', 'foo');
      });

      it('discover, and a command that finds its broker by it', async () => {
        await prints('bar\n', 'service', 'replace', '--name', 'foo-cluster1', '--data', 'bar');
        const find = ['--port', String(broker.udpPort)];
        const found = await broker.client(['discover', '--name', 'foo-cluster1', ...find], {
          program,
          address: false,
        });
        assert.deepEqual([found.stdout, found.code], [`127.0.0.1:${broker.udpPort}\n`, 0], found.stderr);
        const got = await broker.client(['service', 'get', '--name', 'foo-cluster1', ...find], {
          program,
          address: false,
        });
        assert.deepEqual([got.stdout, got.code], ['bar\n', 0], got.stderr);
      });
    });
  }
}

describe('access keys, by module', () => {
  for (const launcher of launchers) {
    const skip = launcher.available === true ? false : launcher.available;
    it(`are asked for and taken from option, variable and file on ${launcher.name}`, { skip }, async () => {
      const broker = await startBroker(launcher, { config: { services: { _access_key: 'secret' } } });
      const get = ['service', 'list'];
      const denied = await broker.client(get);
      assert.equal(denied.code, 5);
      assert.match(
        denied.stderr,
        /Fatal error: Module 'services' asks for an access key, and none was given\n$/,
      );
      const wrong = await broker.client(['--access-key', 'wrong', ...get]);
      assert.deepEqual(
        [wrong.code, wrong.stderr],
        [5, "Fatal error: Incorrect access key for module 'services'\n"],
      );
      assert.equal((await broker.client([...get, '-a', 'secret'])).code, 0);
      assert.equal((await broker.client(get, { env: { BPBROKER_ACCESS_KEY: 'secret' } })).code, 0);
      const file = path.join(broker.dir, 'key');
      writeFileSync(file, 'secret\n');
      assert.equal((await broker.client([...get, '--access-key-file', file])).code, 0);
      assert.equal((await broker.client([...get, '--access-key-file', `${file}-none`])).code, 2);
      assert.equal((await broker.client(['ping', '--data', 'open'])).stdout, 'open\n');
      await broker.stop();
    });
  }
});
