import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { runAll } from '../../support/cleanup.ts';
import { createNetwork, netnsProblem } from '../../support/network/netns.ts';
import { endWine, killIfThere, removeNamespace, unmount } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';

const wineserver = '/usr/lib/wine/wineserver64';

describe('a teardown takes what has gone for done', () => {
  it('a process', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    killIfThere(child.pid ?? 0);
    assert.throws(() => killIfThere(1.5));
  });

  it('a file system', { skip: process.platform !== 'linux' && 'needs Linux' }, () => {
    unmount(tempDir());
    unmount(`${tempDir()}/nothing`);
  });

  it('a network namespace, and a network whose hosts have gone', { skip: netnsProblem() }, async () => {
    removeNamespace(`bpt-${process.pid}-nothing`);
    const network = await createNetwork({ hosts: { a: ['10.77.1.1/24'] } });
    removeNamespace(network.namespaceOf('a'));
    await network.close();
  });

  it("Wine's server", { skip: existsSync(wineserver) ? false : `${wineserver} is missing` }, () => {
    endWine(wineserver, { WINEPREFIX: tempDir() });
  });

  it('and one that fails is reported, but keeps none of the others from running', async () => {
    const ran: string[] = [];
    const fail = (): never => {
      throw new Error('it is stuck');
    };
    await assert.rejects(runAll([() => ran.push('first'), fail, () => ran.push('last')]), /it is stuck/);
    assert.deepEqual(ran, ['last', 'first']);
  });

  it('and a process that goes on after its tests is ended, and named as a failure', async () => {
    const cleanup = new URL('../../support/cleanup.ts', import.meta.url).href;
    const left = `import { endInTime } from ${JSON.stringify(cleanup)};
      (await import('node:net')).createServer().listen(0, '127.0.0.1', () => endInTime(100));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', left], { timeout: 20_000 });
    let errors = '';
    child.stderr.on('data', (chunk) => void (errors += String(chunk)));
    const [code] = (await once(child, 'close')) as [number | null];
    assert.equal(code, 1, errors);
    assert.match(errors, /their process goes on; it holds: .*TCPServerWrap/);
  });
});
