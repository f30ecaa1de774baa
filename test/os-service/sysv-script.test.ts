import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { homeAt } from '../../src/config/paths.ts';
import { sysvScript } from '../../src/os-service/linux/sysv-script.ts';
import { asNobody, nobodysDir, otherUserProblem } from '../support/programs/other-user.ts';
import { run, type RunResult } from '../support/programs/run.ts';

describe('the script of SysV init', { skip: otherUserProblem }, () => {
  /** The script with a pid file of its own, as root and as another user runs it. */
  const made = (): { pidFile: string; type(user: 'root' | 'nobody', word: string): Promise<RunResult> } => {
    const dir = nobodysDir();
    const [file, pidFile] = [path.join(dir, 'script'), path.join(dir, 'pid')];
    const text = sysvScript({
      program: ['/opt/bpbroker'],
      home: homeAt('/opt/tree'),
      port: 1,
      version: '1.0.0',
      firewall: false,
    });
    writeFileSync(file, text.replace('PIDFILE=/var/run/bpbroker.pid', `PIDFILE=${pidFile}`));
    return {
      pidFile,
      type: (user, word) =>
        run(user === 'nobody' ? asNobody(['sh', file, word]) : ['sh', file, word], { cwd: '/' }),
    };
  };

  it('is exit 4 for another user than root, who cannot see whether the broker runs', async () => {
    const { pidFile, type } = made();
    writeFileSync(pidFile, `${process.pid}\n`);
    chmodSync(pidFile, 0o600);
    for (const word of ['status', 'start', 'stop', 'restart', 'reload', 'try-restart']) {
      const { code, stdout, stderr } = await type('nobody', word);
      const says = 'bpbroker: only root can tell whether it runs, and start or stop it\n';
      assert.deepEqual([code, stdout, stderr], [4, '', says], word);
    }
    // The process is another one's.
    assert.deepEqual((await type('root', 'status')).code, 1);
  });

  it('says to every user that it is not running where there is no pid file, and how it is used', async () => {
    const { type } = made();
    for (const user of ['root', 'nobody'] as const) {
      assert.deepEqual([(await type(user, 'status')).code, (await type(user, 'help')).code], [3, 2], user);
    }
    const { code, stdout } = await type('root', 'stop');
    assert.deepEqual([code, stdout], [0, 'bpbroker is not running\n']);
  });
});
