import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { homeAt } from '../../src/config/paths.ts';
import { checkPaths } from '../../src/os-service/files/safe-paths.ts';
import type { System } from '../../src/os-service/system.ts';

/** A system whose folders are root's, but for one that all may write to. */
const systemWith = (open: string, env: Record<string, string> = {}): System =>
  ({
    platform: 'linux',
    env,
    stat: (at: string) =>
      Promise.resolve({ kind: 'directory', uid: 0, gid: 0, mode: at === open ? 0o777 : 0o755 }),
  }) as unknown as System;

const check = (system: System, root: string, config?: string, label = '--config'): Promise<string> =>
  checkPaths(system, homeAt(root), config, label, 'bpbroker').then(
    () => 'fit',
    ({ code, message }) => `${code}: ${message}`,
  );

describe('a place that a service cannot have', () => {
  it('names the variable that it is from, and no variable where there was none', async () => {
    assert.equal(
      await check(systemWith('/tmp', { BPBROKER_HOME: '/tmp/x' }), '/tmp/x'),
      "usage: Invalid BPBROKER_HOME '/tmp/x' for a service: /tmp can be changed by others than root; give a folder below one of root's, such as /opt/bpbroker, or unset it for /usr/local/bpbroker",
    );
    assert.equal(
      await check(systemWith('/usr/local'), '/usr/local/bpbroker'),
      "usage: The service cannot keep its files in /usr/local/bpbroker: /usr/local can be changed by others than root; correct that, or set BPBROKER_HOME to a folder below one of root's, such as /opt/bpbroker",
    );
  });

  it('names the option or the variable that the file is from', async () => {
    for (const label of ['--config', 'BPBROKER_CONFIG'])
      assert.equal(
        await check(systemWith('/srv'), '/usr/local/bpbroker', '/srv/a/b.json', label),
        `usage: Invalid ${label} '/srv/a/b.json' for a service: /srv can be changed by others than root; give a file such as /etc/bpbroker/bpbroker.json`,
      );
  });

  it('is none that belongs to root all the way', async () => {
    assert.equal(await check(systemWith('/tmp'), '/opt/bpbroker', '/etc/bpbroker/bpbroker.json'), 'fit');
  });
});
