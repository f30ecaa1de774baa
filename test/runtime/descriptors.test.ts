import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { openDescriptors } from '../../src/runtime/system/descriptors.ts';
import { run } from '../support/programs/run.ts';
import { tempDir } from '../support/temp.ts';

const windows = process.platform === 'win32' ? 'Windows does not say how many there are' : false;

/** Why the number cannot be had without listing the folder. */
function noSize(): string | false {
  if (process.platform !== 'linux') return 'the number as the size of /proc/self/fd is of Linux';
  return statSync('/proc/self/fd').size > 0 ? false : 'this Linux is older than 6.2';
}

describe('openDescriptors()', { skip: windows }, () => {
  it('counts each file that is opened, and none that is closed', () => {
    const before = openDescriptors();
    const opened = Array.from({ length: 300 }, () => openSync('/dev/null', 'r'));
    assert.equal(openDescriptors(), before + 300);
    for (const fd of opened.splice(100)) closeSync(fd);
    assert.equal(openDescriptors(), before + 100);
    for (const fd of opened) closeSync(fd);
    assert.equal(openDescriptors(), before);
  });

  it(
    'agrees with the folder of descriptors',
    { skip: process.platform === 'linux' ? false : 'the folder is of Linux' },
    () => {
      assert.equal(openDescriptors(), readdirSync('/proc/self/fd').length - 1);
    },
  );

  it('opens none itself: it counts also when none is left', { skip: noSize() }, async () => {
    const here = import.meta.filename;
    const file = path.join(
      path.dirname(here),
      '../../src/runtime/system',
      `descriptors${path.extname(here)}`,
    );
    const script = path.join(tempDir(), 'exhaust.mjs');
    writeFileSync(
      script,
      `import { openSync } from 'node:fs';
import { openDescriptors } from ${JSON.stringify(pathToFileURL(file).href)};
let code = '';
while (code === '') try { openSync('/dev/null', 'r'); } catch (error) { code = error.code; }
const count = openDescriptors();
process.stdout.write(code + ' ' + count);
`,
    );
    const runtime = 'Deno' in globalThis ? [process.execPath, 'run', '-A'] : [process.execPath];
    const limited = ['sh', '-c', 'ulimit -n 200; exec "$@"', 'sh', ...runtime, script];
    const { stdout, stderr } = await run(limited);
    // A runtime may hold some from before the limit.
    assert.match(stdout, /^EMFILE 20\d$/, stderr);
  });
});
