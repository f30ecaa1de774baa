import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import path from 'node:path';
import { signalProcess } from '../../src/cli/child-processes/process-group.ts';
import { asNobody, otherUserProblem } from '../support/programs/other-user.ts';
import { run } from '../support/programs/run.ts';

describe('signalProcess()', () => {
  it('says whether a process is there', () => {
    assert.equal(signalProcess(process.pid, 0), true);
    assert.equal(signalProcess(2 ** 22 + 1, 0), false);
  });

  it('says that one is there that may not be signalled', { skip: otherUserProblem }, async () => {
    const module = pathToFileURL(path.resolve('src/cli/child-processes/process-group.ts')).href;
    const script = `const m = await import('${module}'); console.log(m.signalProcess(1, 'SIGTERM'))`;
    const { stdout, stderr } = await run(asNobody([process.execPath, '--input-type=module', '-e', script]));
    assert.equal(stdout, 'true\n', stderr);
  });
});
