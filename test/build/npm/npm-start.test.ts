import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../../build/root.ts';
import { follow, skipOf } from '../../programs/support.ts';
import { atEnd } from '../../support/cleanup.ts';
import { cleanEnv, launchers, parseReady } from '../../support/programs/programs.ts';
import { killIfThere } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';

const built = launchers.find(({ name }) => name === 'node24') ?? assert.fail();
const skip = process.platform === 'win32' ? 'signals are POSIX' : lacking('npm') || skipOf(built);

describe('npm start', { skip }, () => {
  // On a SIGINT npm waits for what it runs: a terminal sends it to both.
  it('ends its broker cleanly on a SIGTERM that npm gets, and leaves nothing running', async () => {
    const dir = tempDir();
    const config = path.join(dir, 'b.json');
    // What is to be built before it has been built.
    const args = ['start', '--ignore-scripts', '--', '--config', config, '--listen-port', '0'];
    const env = { ...cleanEnv(dir), PATH: process.env['PATH'] ?? '' };
    const npm = follow(spawn('npm', args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] }));
    await waitFor('the ready line', () => parseReady(npm.stderr()), 30_000).catch((error) => {
      throw new Error(npm.stderr() + npm.stdout(), { cause: error });
    });
    const pid = Number(/ starting .*pid=(\d+)/.exec(npm.stderr())?.[1]);
    atEnd(() => killIfThere(pid));
    npm.child.kill('SIGTERM');
    await waitFor('the end of the broker', () => isGone(pid), 15_000);
    await npm.ended;
    assert.match(npm.stderr(), / stopping signal=SIGTERM\n$/);
  });
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
    return true;
  }
}
