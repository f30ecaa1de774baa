import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BrokerClient } from '../../../src/client/client.ts';
import {
  launchers,
  type RunningBroker,
  type RunResult,
  startBroker,
} from '../../support/programs/programs.ts';
import { waitFor } from '../../support/wait.ts';
import { connectTo, freePort, skipOf, startClient } from '../support.ts';

/** What scripts ask for, on every launcher. */
for (const launcher of launchers) {
  describe(`options for scripts, on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    let broker: RunningBroker;
    let client: BrokerClient;
    before(async () => {
      broker = await startBroker(launcher);
      client = await connectTo(broker);
      assert.equal((await broker.client(['ping'])).code, 0);
    });
    after(() => broker.kill());

    const service = (words: string, ...rest: string[]): Promise<RunResult> =>
      broker.client(['service', ...words.split(' '), ...rest]);
    const prints = async (stdout: string, words: string, ...rest: string[]): Promise<void> => {
      const result = await service(words, ...rest);
      assert.deepEqual([result.code, result.stdout, result.stderr], [0, stdout, ''], words);
    };
    const fails = async (code: number, message: RegExp, words: string, ...rest: string[]): Promise<void> => {
      const result = await service(words, ...rest);
      assert.deepEqual([result.code, result.stdout], [code, ''], `${words}: ${result.stderr}`);
      assert.match(result.stderr, /^Fatal error: [^\n]*\n$/);
      assert.match(result.stderr, message);
    };

    it('get --default prints that where there is no entry or column, and for no other failure', async () => {
      await client.replace('db', { host: 'a' });
      await prints('none\n', 'get --name nothing --default none');
      await prints('\n', 'get --name nothing --default', '');
      await prints('none\n', 'get --name db --cols port --default none');
      await prints('a\n', 'get --name db --cols host --default none');
      await prints("BPB_HOST='x'\n", 'get --name nothing --cols host --format env --default x');
      await prints('{"b": 1}\n', 'get --name nothing --format json --default', '{"b":1}');
      await fails(2, /has no column 'host'/, 'get --name nothing --cols host --default', '{"b": 1}');
      await fails(2, /--wait has no meaning beside --default/, 'get --name nothing --wait --default x');
      await fails(2, /Invalid --name/, 'get --name _x --default none');
      const guarded = await startBroker(launcher, { config: { services: { _access_key: 'secret' } } });
      const denied = await guarded.client(['service', 'get', '--name', 'db', '--default', 'x', '--quiet']);
      assert.deepEqual([denied.code, denied.stdout], [5, ''], denied.stderr);
      await guarded.kill();
      const port = await freePort();
      const away = startClient(launcher, { dir: broker.dir, port }, [
        'service',
        'get',
        '--name',
        'db',
        '--default',
        'x',
      ]);
      assert.deepEqual([await away.ended, away.stdout()], [6, ''], away.stderr());
    });

    it('--data-only leaves the stamps out; name and revision are columns', async () => {
      const { revision } = await client.replace('out/db', { host: 'a', port: 1 });
      await prints('{"host": "a", "port": 1}\n', 'get --name out/db --data-only');
      await prints('host,port\na,1\n', 'get --name out/db --data-only --format csv');
      await prints('out/db\t{"host": "a", "port": 1}\n', 'list --prefix out/ --data-only');
      await prints(`${revision}\tout/db\ta\n`, 'get --name out/db --cols revision,name,host');
      await prints(
        `name,revision\nout/db,${revision}\n`,
        'list --prefix out/ --format csv --cols name,revision',
      );
      await prints('{"host": "b"}\n', 'replace --name out/2 --data-only --data', '{"host": "b"}');
    });

    it('--format env refuses columns that become one variable, before it prints any', async () => {
      await client.replace('env', { host: 'a', 'a.b': 1, 'a-b': 2 });
      await fails(2, /'a\.b' and 'a-b': both would be the variable BPB_A_B/, 'get --name env --format env');
      await prints("BPB_HOST='a'\n", 'get --name env --format env --cols host');
    });

    it('--json refuses what is no JSON object, and sends nothing', async () => {
      const before_ = (await client.list()).revision;
      for (const command of ['register', 'replace', 'update']) {
        await fails(2, /:1:9: .*--json/, `${command} --name json --json --data`, '{"a": 1,}');
        await fails(2, /expected a JSON object, got an array/, `${command} --name json --json --data`, '[1]');
        await fails(2, /--json/, `${command} --name json --json --data text`);
      }
      assert.equal((await client.list()).revision, before_);
      await prints('{"a": 1}\n', 'register --name json --json --data-only --data', '{"a": 1}');
    });

    it('update --unset removes members in the same write as it merges; null is data', async () => {
      const data = { host: 'a', tls: { on: true, 'a.b': 1 }, gone: null };
      const { revision } = await client.replace('un', data);
      const update = [
        'update',
        '--name un',
        '--unset tls.on',
        String.raw`--unset tls.a\.b`,
        '--unset none.x',
      ];
      await prints(
        '{"host": null, "tls": {}, "gone": null, "new": 1}\n',
        `${update.join(' ')} --data-only --data`,
        '{"host": null, "new": 1}',
      );
      assert.equal((await client.get('un')).revision, revision + 1, 'one write');
      await prints('{"host": null, "gone": null, "new": 1}\n', 'update --name un --unset tls --data-only');
      await fails(4, /revision/, `update --name un --unset host --if-revision ${revision}`);
      await fails(3, /Entry 'nothing' not found/, 'update --name nothing --unset host');
      await fails(2, /Invalid --unset ''/, 'update --name un --unset', '');
      await fails(2, /--data DATA .*--unset KEY/, 'update --name un');
    });

    it('renew begins a lifetime anew, and changes nothing else', async () => {
      const { revision } = await client.replace('lease', 'mine', { ttlMs: 60_000 });
      /** How much of it has passed, in milliseconds. */
      const passed = async (): Promise<number> => {
        const { expires_in } = await client.call<{ expires_in: number }>('services', 'Get', {
          name: 'lease',
        });
        return 60_000 - 1000 * expires_in;
      };
      await waitFor('some of it to pass', async () => (await passed()) > 500);
      const begun = performance.now();
      await prints('mine\n', 'renew --name lease --if-revision', String(revision));
      // However long the command took: what has passed is less than the time since before it.
      const since = await passed();
      assert.ok(since < performance.now() - begun, `${since} ms of it have passed`);
      assert.equal((await client.get('lease')).revision, revision);
      await fails(4, /revision/, 'renew --name lease --if-revision', String(revision + 1000));
      await fails(3, /not found/, 'renew --name nothing');
    });

    it('delete --prefix removes all under it and nothing else, and takes no empty one', async () => {
      for (const name of ['del', 'del/1', 'del/2', 'de']) await client.replace(name, 'x');
      await fails(2, /Invalid --prefix ''/, 'delete --prefix', '');
      await fails(2, /--if-revision has no meaning/, 'delete --prefix del/ --if-revision 1');
      await fails(2, /--name NAME or --prefix PREFIX/, 'delete --prefix del/ --name del');
      await prints('', 'delete --prefix del/');
      await prints('', 'delete --prefix del/');
      await prints('de\ndel\n', 'list --prefix de --cols name');
    });

    it('ping --wait waits until a broker answers, and gives up when the time has passed', async () => {
      const port = await freePort();
      const late = startClient(launcher, { dir: broker.dir, port }, ['ping', '--wait', '--timeout', '700ms']);
      assert.equal(await late.ended, 9, late.stderr());
      assert.match(late.stderr(), /^Fatal error: Gave up waiting for the broker after \d{3} ms: [^\n]+\n$/);
      const args = ['ping', '--wait', '--data', 'up', '--timeout', '30s', '--verbose'];
      const waiting = startClient(launcher, { dir: broker.dir, port }, args);
      const second = await startBroker(launcher, { config: { api: { listen_port: port } } });
      assert.deepEqual([await waiting.ended, waiting.stdout()], [0, 'up\n'], waiting.stderr());
      await second.kill();
    });
  });
}
