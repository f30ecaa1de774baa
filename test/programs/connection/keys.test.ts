import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  cleanEnv,
  launchers,
  run,
  type RunningBroker,
  type RunResult,
  startBroker,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { connectTo, reference, skipOf } from '../support.ts';

const keys = [
  'plain',
  'two words',
  ' spaces around ',
  '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~',
  'schlüssel',
  'ключ 🔑',
  'tab\tand\nline',
];

describe('an access key may hold any character', () => {
  let broker: RunningBroker;
  before(async () => {
    broker = await startBroker(reference, { config: { services: { _access_key: keys } } });
  });
  after(() => broker.kill());

  for (const launcher of launchers) {
    it(`on ${launcher.name}`, { skip: skipOf(launcher) }, async () => {
      const home = tempDir();
      const list = (key: string): Promise<RunResult> => {
        const command = [...launcher.bpclient, '-b', `127.0.0.1:${broker.port}`, 'service', 'list'];
        return run(command, { env: cleanEnv(home, { BPBROKER_ACCESS_KEY: key }), cwd: home });
      };
      for (const key of keys) {
        const { code, stderr } = await list(key);
        assert.equal(code, 0, `${JSON.stringify(key)}: ${stderr}`);
      }
      assert.equal((await list('ключ')).code, 5);
    });
  }

  it('in the library', async () => {
    for (const accessKey of keys) {
      const client = await connectTo(broker, { accessKey });
      await client.replace('foo', { access_key: 'of the entry' });
      assert.deepEqual((await client.get('foo')).data, { access_key: 'of the entry' });
      client.close();
    }
  });
});
