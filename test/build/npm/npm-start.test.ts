import assert from 'node:assert/strict';
import { spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../../build/root.ts';
import { follow, type Running, skipOf } from '../../programs/support.ts';
import { atEnd } from '../../support/cleanup.ts';
import { cleanEnv, launchers, parseReady } from '../../support/programs/programs.ts';
import { killIfThere } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';

const built = launchers.find(({ name }) => name === 'node24') ?? assert.fail();
const skip = process.platform === 'win32' ? 'signals are POSIX' : lacking('npm') || skipOf(built);

/** Starts it in a process group of its own, with what is to be built before it, which has been built. */
function npmStart(dir: string, config: string): Running {
  const args = ['start', '--ignore-scripts', '--', '--config', config, '--listen-port', '0'];
  const env = { ...cleanEnv(dir), PATH: process.env['PATH'] ?? '' };
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe'];
  return follow(spawn('npm', args, { cwd: root, env, stdio, detached: true }));
}

async function pidOf({ stderr, stdout }: Running): Promise<number> {
  const pid = (): number => Number(/ starting .*pid=(\d+)/.exec(stderr())?.[1]);
  await waitFor('the start of the broker', () => pid() > 0, 30_000).catch((error) => {
    throw new Error(stderr() + stdout(), { cause: error });
  });
  atEnd(() => killIfThere(pid()));
  return pid();
}

describe('npm start', { skip }, () => {
  it('ends its broker cleanly on a SIGTERM that npm gets, and leaves nothing running', async () => {
    const dir = tempDir();
    const npm = npmStart(dir, path.join(dir, 'b.json'));
    const pid = await pidOf(npm);
    await waitFor('the ready line', () => parseReady(npm.stderr()), 30_000);
    npm.child.kill('SIGTERM');
    await waitFor('the end of the broker', () => isGone(pid), 15_000);
    await npm.ended;
    assert.match(npm.stderr(), / stopping signal=SIGTERM\n$/);
  });

  // A service manager sends it to npm, the shell and the broker; a terminal does so with SIGINT.
  it('does not repeat a signal that its broker has received itself: a start is not cut off', async () => {
    const dir = tempDir();
    const silent = createServer().listen(0, '127.0.0.1');
    atEnd(() => void silent.close());
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const config = path.join(dir, 'b.json');
    const store = { driver: 'etcd', endpoints: [`http://127.0.0.1:${port}`] };
    writeFileSync(config, JSON.stringify({ _store: store }));
    const npm = npmStart(dir, config);
    const pid = await pidOf(npm);
    process.kill(-(npm.child.pid ?? assert.fail()), 'SIGTERM');
    await waitFor('the end of the broker', () => isGone(pid), 30_000);
    await npm.ended;
    assert.match(npm.stderr(), /Fatal error: .*etcd/);
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
