import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import type { BrokerClient } from '../../src/client/client.ts';
import { endOf, noShell } from '../programs/lock/lock-support.ts';
import { connectTo, follow, reference, type Running } from '../programs/support.ts';
import { programFolder } from '../support/programs/program-folder.ts';
import { cleanEnv, type RunningBroker, startBroker } from '../support/programs/programs.ts';
import { waitFor } from '../support/wait.ts';

const folder = path.join(root, 'examples', 'presence');

describe('examples/presence', { skip: noShell }, () => {
  let broker: RunningBroker;
  let client: BrokerClient;
  before(async () => {
    broker = await startBroker(reference);
    client = await connectTo(broker);
  });

  const start = (script: string, ...args: string[]): Running => {
    const env = cleanEnv(broker.dir, {
      PATH: `${programFolder(reference, {})}${path.delimiter}${process.env['PATH'] ?? ''}`,
      BPBROKER: `127.0.0.1:${broker.port}`,
      BPBROKER_FINGERPRINT: broker.fingerprint,
    });
    const file = path.join(folder, script);
    return follow(spawn('sh', [file, ...args], { cwd: broker.dir, env, stdio: ['ignore', 'pipe', 'pipe'] }));
  };

  it('agents exist as long as they run, and leaders wait for them and for each other', async () => {
    const leaders = [start('leader.sh', '2'), start('leader.sh', '2')];
    const agents = [start('agent.sh', 'a', '10.0.0.1')];
    await client.waitFor('node/a', { timeoutMs: 20_000 });
    assert.deepEqual(
      leaders.map(({ child }) => child.exitCode),
      [null, null],
    );
    agents.push(start('agent.sh', 'b', '10.0.0.2'));
    for (const leader of leaders) assert.equal(await endOf(leader), 0, leader.stderr());
    assert.equal((await client.get('plan')).data, '2 nodes');
    assert.equal((await client.get('node/b')).data, '10.0.0.2');
    const [first, second] = agents;
    assert.equal(await first?.stop('SIGTERM'), 0);
    assert.deepEqual(
      (await client.list('node/')).entries.map(({ name }) => name),
      ['node/b'],
    );
    second?.child.kill('SIGKILL');
    await waitFor('its lifetime to be over', async () => (await client.count('node/')).count === 0, 20_000);
  });
});
