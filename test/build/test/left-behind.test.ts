import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { leftBehind, RUN_VARIABLE } from '../../../build/test/left-behind.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { tempDir } from '../../support/temp.ts';

describe('leftBehind()', { skip: process.platform === 'linux' ? false : 'only Linux tells' }, () => {
  it('names what goes on after its run, and nothing of another run', async () => {
    const run = randomUUID();
    const env = { ...process.env, [RUN_VARIABLE]: run };
    const child = spawn('sleep', ['60'], { env, stdio: 'ignore' });
    await once(child, 'spawn');
    assert.deepEqual(await leftBehind(run, 0), [{ pid: child.pid, command: 'sleep 60' }]);
    assert.deepEqual(await leftBehind(randomUUID(), 0), []);
    child.kill();
    assert.deepEqual(await leftBehind(run), []);
  });

  it('finds the programs of tests, too: their environment has the mark', () => {
    const own = process.env[RUN_VARIABLE];
    assert.equal(cleanEnv(tempDir())[RUN_VARIABLE], own);
  });
});
